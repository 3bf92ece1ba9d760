/** One use of a body that others use too. */
export interface Hold {
  /** What all who hold it have in common: the bytes, once one of them has read them. */
  readonly shared: { body: Uint8Array | undefined };
  /** To be called when it is needed no more; only the first call counts. */
  release(): void;
}

/** How much {@link HeldBodies} keeps. */
export interface HeldBodiesOptions {
  /** What all that is held may take together, in bytes. */
  readonly maxBytes: number;
  /** A body that was last taken so long ago, in milliseconds, counts no more: a user of it has ended without releasing it. */
  readonly lostMs: number;
}

interface Held {
  readonly bytes: number;
  readonly shared: Hold["shared"];
  users: number;
  lastTakenMs: number;
}

/**
 * Bodies in memory that many send at the same time, each at its own pace. One counts, once, from the first who takes it until
 * the last has let it go, however slowly that one sends; what would be too much is not held at all.
 */
export class HeldBodies {
  readonly #options: HeldBodiesOptions;
  readonly #held = new Map<string, Held>();
  #bytes = 0;

  constructor(options: HeldBodiesOptions) {
    this.#options = options;
  }

  /** Takes part in the body of this name and length; `undefined`: there is no room for it. */
  hold(key: string, bytes: number, nowMs: number): Hold | undefined {
    const held = this.#held.get(key) ?? this.#admit(key, bytes, nowMs);
    if (!held) return undefined;
    held.users += 1;
    held.lastTakenMs = nowMs;
    let due = true;
    return {
      shared: held.shared,
      release: () => {
        if (!due) return;
        due = false;
        held.users -= 1;
        if (held.users === 0) this.#forget(key, held);
      },
    };
  }

  #admit(key: string, bytes: number, nowMs: number): Held | undefined {
    if (!this.#hasRoom(bytes)) this.#forgetLost(nowMs);
    if (!this.#hasRoom(bytes)) return undefined;
    const held = { bytes, shared: { body: undefined }, users: 0, lastTakenMs: nowMs };
    this.#held.set(key, held);
    this.#bytes += bytes;
    return held;
  }

  #hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#options.maxBytes;
  }

  #forgetLost(nowMs: number): void {
    for (const [key, held] of this.#held) {
      if (nowMs - held.lastTakenMs > this.#options.lostMs) this.#forget(key, held);
    }
  }

  #forget(key: string, held: Held): void {
    if (this.#held.get(key) !== held) return;
    this.#held.delete(key);
    this.#bytes -= held.bytes;
  }
}
