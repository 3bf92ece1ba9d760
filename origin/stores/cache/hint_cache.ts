/**
 * A place for hints: copies of what stands elsewhere, that may be missing at any time. Nothing may rest on a hint but speed.
 * Bounded in size; no method ever throws.
 */
export interface HintCache {
  /** What was kept under this key, unless it was forgotten, pushed out, or cannot be had at the moment. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Keeps a value for up to `ttlMs` milliseconds. Values of more than {@link MAX_HINT_BYTES} are not kept. */
  set(key: string, value: string | Uint8Array, ttlMs: number): Promise<void>;
  /**
   * Forgets a key. False when that could not be confirmed: the hint may then come back until its time is over, so whoever
   * must be sure (a revocation, say) puts into the value what shows that it is old.
   */
  delete(key: string): Promise<boolean>;
}

/** The largest value that is kept, in bytes. */
export const MAX_HINT_BYTES = 1_048_576;
