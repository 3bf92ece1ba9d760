/**
 * Reads the multipart/mixed answers of other servers. A reader of our own, since it takes what MSC3916's examples show (a last
 * delimiter without its two dashes), bounds headers and preamble, and hands the media on as views, uncopied.
 */

/** What a {@link MultipartReader} finds, in this order for each part: its headers, its bytes in any number of chunks, its end. */
export type MultipartEvent =
  | { kind: "part"; headers: ReadonlyMap<string, string> }
  | { kind: "data"; bytes: Uint8Array }
  | { kind: "part_end" };

/** The bytes are not a multipart body, end too early, or ask for more memory than a header may have. */
export class MultipartError extends Error {}

/** Bytes that all headers of one part, or the text before the first part, may have. */
const MAX_HEADER_BYTES = 16_384;
/** Blanks between a delimiter and its line end that are still padding (RFC 2046, section 5.1.1, "transport-padding"). */
const MAX_PADDING = 128;

const CR = 13;
const LF = 10;
const DASH = 45;
const CRLF = Uint8Array.of(CR, LF);
const BLANK_LINE = Uint8Array.of(CR, LF, CR, LF);

type State = "preamble" | "headers" | "body" | "epilogue";

/**
 * Reads a multipart body (RFC 2046, section 5.1) as its bytes arrive, cut anywhere. Memory is bounded by one chunk and the
 * headers of one part; the media is passed on without being looked at as text.
 *
 * Only a whole line `--boundary`, or `--boundary--`, ends a part; the line break before it is not part of the media.
 */
export class MultipartReader {
  readonly #delimiter: Uint8Array;
  readonly #search: PatternSearch;
  // As if the body had begun with a line break, so that a delimiter on its first line is like any other.
  #pending: Uint8Array = CRLF;
  #state: State = "preamble";
  #skipped = 0;
  #atBodyStart = false;

  constructor(boundary: string) {
    this.#delimiter = new TextEncoder().encode(`\r\n--${boundary}`);
    this.#search = new PatternSearch(this.#delimiter);
  }

  /** Takes the next bytes; answers with what they complete. The bytes of `data` may be views into `chunk`. */
  push(chunk: Uint8Array): MultipartEvent[] {
    if (this.#state === "epilogue") return [];
    this.#pending = this.#pending.byteLength === 0 ? chunk : concatBytes(this.#pending, chunk);
    return this.#advance(false);
  }

  /** Says that the body is over. Throws {@link MultipartError} if a part was not: its bytes were cut short. */
  finish(): MultipartEvent[] {
    const events = this.#state === "epilogue" ? [] : this.#advance(true);
    if (this.#state === "body" || this.#state === "preamble")
      throw new MultipartError("The multipart body ended too early");
    return events;
  }

  #advance(last: boolean): MultipartEvent[] {
    const events: MultipartEvent[] = [];
    let more = true;
    while (more) {
      const state: State = this.#state;
      if (state === "preamble") more = this.#readPreamble(last);
      else if (state === "headers") more = this.#readHeaders(events, last);
      else if (state === "body") more = this.#readBody(events, last);
      else more = false;
    }
    return events;
  }

  #readPreamble(last: boolean): boolean {
    const found = this.#findDelimiter(0, last);
    this.#skipped += found.at;
    if (this.#skipped > MAX_HEADER_BYTES)
      throw new MultipartError("The multipart body has too much text before its parts");
    if (found.kind === "none") return this.#drop(found.at);
    return this.#enter(found);
  }

  // #pending begins with the line break that ended the delimiter's line, so a part without headers begins with a blank line.
  #readHeaders(events: MultipartEvent[], last: boolean): boolean {
    const blank = indexOfBytes(this.#pending, BLANK_LINE);
    const delimiter = this.#findDelimiter(0, last);
    const end = blank < 0 ? this.#pending.byteLength : blank;
    if (delimiter.kind !== "none" && delimiter.at < end) return this.#partWithoutBody(events, delimiter);
    if (end > MAX_HEADER_BYTES) throw new MultipartError("The headers of a part are too long");
    if (blank < 0) return false;
    events.push({ kind: "part", headers: parseHeaders(this.#pending.subarray(0, blank)) });
    // A body is optional: the blank line's own break may already be the one before the next delimiter.
    this.#drop(blank + CRLF.byteLength);
    this.#state = "body";
    this.#atBodyStart = true;
    return true;
  }

  #partWithoutBody(events: MultipartEvent[], delimiter: Found): boolean {
    events.push({ kind: "part", headers: parseHeaders(this.#pending.subarray(0, delimiter.at)) }, { kind: "part_end" });
    return this.#enter(delimiter);
  }

  #readBody(events: MultipartEvent[], last: boolean): boolean {
    const found = this.#findDelimiter(0, last);
    // The first line break ends the headers; it is not media, whether or not it begins a delimiter.
    const start = this.#atBodyStart ? Math.min(CRLF.byteLength, found.at) : 0;
    if (found.at > start) events.push({ kind: "data", bytes: this.#pending.subarray(start, found.at) });
    if (found.at > 0) this.#atBodyStart = false;
    if (found.kind === "none") return this.#drop(found.at);
    events.push({ kind: "part_end" });
    return this.#enter(found);
  }

  #enter(found: Found): boolean {
    this.#atBodyStart = false;
    this.#state = found.kind === "close" ? "epilogue" : "headers";
    this.#pending = found.kind === "close" ? new Uint8Array() : this.#pending.subarray(found.end);
    return true;
  }

  #drop(bytes: number): false {
    this.#pending = this.#pending.subarray(bytes);
    return false;
  }

  /** The next delimiter line, or how far there is certainly no delimiter. */
  #findDelimiter(from: number, last: boolean): Found {
    const { byteLength } = this.#pending;
    for (let at = from; ; at += 1) {
      at = this.#search.next(this.#pending, at);
      if (at < 0) return { kind: "none", at: last ? byteLength : this.#safeUpTo(from), end: 0 };
      const line = this.#readLineEnd(at, last);
      if (line === "more") return { kind: "none", at, end: 0 };
      if (line !== "other") return line;
    }
  }

  #readLineEnd(at: number, last: boolean): Found | "more" | "other" {
    const bytes = this.#pending;
    const start = at + this.#delimiter.byteLength;
    if (bytes[start] === DASH && bytes[start + 1] === DASH) return { kind: "close", at, end: start + 2 };
    let end = start;
    while (bytes[end] === 0x20 || bytes[end] === 0x09) end += 1;
    if (end - start > MAX_PADDING) return "other";
    if (bytes[end] === CR && bytes[end + 1] === LF) return { kind: "delimiter", at, end };
    const undecided =
      end === bytes.byteLength ||
      (end + 1 === bytes.byteLength && (bytes[end] === CR || (end === start && bytes[end] === DASH)));
    if (!undecided) return "other";
    // Some servers leave out the last two dashes; the examples of MSC3916 do.
    return last ? { kind: "close", at, end } : "more";
  }

  #safeUpTo(from: number): number {
    const { byteLength } = this.#pending;
    for (let at = Math.max(from, byteLength - this.#delimiter.byteLength + 1); at < byteLength; at += 1) {
      if (startsWithBytes(this.#delimiter, this.#pending.subarray(at))) return at;
    }
    return byteLength;
  }
}

interface Found {
  kind: "delimiter" | "close" | "none";
  /** Where its line break begins; for `none`, up to where the bytes are settled. */
  at: number;
  /** Where the line break after it begins. */
  end: number;
}

function parseHeaders(bytes: Uint8Array): Map<string, string> {
  const headers = new Map<string, string>();
  const unfolded = new TextDecoder().decode(bytes).replace(/\r\n[ \t]+/g, " ");
  for (const line of unfolded.split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    if (name !== "" && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim());
  }
  return headers;
}

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

const PARAMETER = /;[ \t]*([^\s=;]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*/y;

/**
 * The boundary that a `Content-Type` header of `multipart/mixed` names: quoted or not, among other parameters, its name in
 * any case. `undefined` for another type, or without a boundary of 1 to 70 characters (RFC 2046, section 5.1.1).
 */
export function parseBoundary(contentType: string | null | undefined): string | undefined {
  const type = /^[ \t]*multipart\/mixed[ \t]*(?=;)/i.exec(contentType ?? "");
  if (!contentType || !type) return undefined;
  PARAMETER.lastIndex = type[0].length;
  for (let match = PARAMETER.exec(contentType); match; match = PARAMETER.exec(contentType)) {
    if (match[1]?.toLowerCase() !== "boundary") continue;
    const boundary = match[2]?.replace(/\\(.)/g, "$1") ?? match[3] ?? "";
    return /^[\x20-\x7e]{1,70}$/.test(boundary) ? boundary : undefined;
  }
  return undefined;
}
