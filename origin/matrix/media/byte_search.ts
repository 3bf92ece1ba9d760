/** Looks for one pattern of 1 to 255 bytes in many chunks (Boyer–Moore–Horspool: compares one byte in as many as the pattern is long). */
export class PatternSearch {
  readonly #pattern: Uint8Array;
  readonly #skips: Uint8Array;

  constructor(pattern: Uint8Array) {
    const last = pattern.byteLength - 1;
    this.#pattern = pattern;
    this.#skips = new Uint8Array(256).fill(pattern.byteLength);
    for (let index = 0; index < last; index += 1) this.#skips[pattern[index] ?? 0] = last - index;
  }

  /** Where the pattern next begins in `bytes` at or after `from`; −1 if nowhere. */
  next(bytes: Uint8Array, from: number): number {
    const last = this.#pattern.byteLength - 1;
    const lastByte = this.#pattern[last];
    let at = from;
    while (at + last < bytes.byteLength) {
      const byte = bytes[at + last] ?? 0;
      if (byte === lastByte && matchesAt(bytes, this.#pattern, at)) return at;
      at += this.#skips[byte] ?? 1;
    }
    return -1;
  }
}

/** Where a short pattern first begins; −1 if nowhere. */
export function indexOfBytes(bytes: Uint8Array, pattern: Uint8Array): number {
  for (let at = 0; at + pattern.byteLength <= bytes.byteLength; at += 1) {
    if (matchesAt(bytes, pattern, at)) return at;
  }
  return -1;
}

/** True if `bytes` begins with `beginning`. */
export function startsWithBytes(bytes: Uint8Array, beginning: Uint8Array): boolean {
  return matchesAt(bytes, beginning, 0);
}

/** Both, one after the other, in new memory. */
export function concatBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.byteLength + b.byteLength);
  both.set(a);
  both.set(b, a.byteLength);
  return both;
}

function matchesAt(bytes: Uint8Array, pattern: Uint8Array, at: number): boolean {
  for (let index = 0; index < pattern.byteLength; index += 1) {
    if (bytes[at + index] !== pattern[index]) return false;
  }
  return true;
}
