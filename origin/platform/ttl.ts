import { LRUCache } from "lru-cache";
import type { Clock, SteadyClock } from "./clock.ts";

/**
 * What is remembered for a while only: a bounded cache whose entries become too old. By a {@link SteadyClock} where a duration is
 * meant, by a {@link Clock} where the moment of the end is one that others have named.
 */
export interface TtlCacheOptions<V> {
  readonly clock: Clock | SteadyClock;
  /** How many entries are kept; the one longest out of use is forgotten first. */
  readonly max: number;
  /** How many bytes they may take together, and how many one of them takes. */
  readonly bytes?: { readonly max: number; readonly of: (value: V) => number };
  /** How long an entry is kept where `set` does not say, in milliseconds. */
  readonly ttlMs?: number;
}

/**
 * A bounded cache by text, of lru-cache, with our clock. An entry is gone when it is exactly as old as its time to live. One whose time
 * to live is nothing is not kept at all, where the library would keep it for ever.
 */
export class TtlCache<V extends {}> {
  readonly #kept: LRUCache<string, V>;
  readonly #clock: () => number;
  readonly #ttlMs: number;

  constructor({ clock, max, bytes, ttlMs = Number.POSITIVE_INFINITY }: TtlCacheOptions<V>) {
    // The library takes a moment of 0 for none, and an entry for good as long as its age is not above its time.
    this.#clock = () => clock() + 1;
    this.#ttlMs = ttlMs;
    this.#kept = new LRUCache<string, V>({
      max,
      ...(bytes ? { maxSize: bytes.max, sizeCalculation: (value: V) => Math.max(1, bytes.of(value)) } : {}),
      ttl: Number.MAX_SAFE_INTEGER,
      ttlResolution: 0,
      perf: { now: this.#clock },
    });
  }

  /** What is kept under `key` and not too old. */
  get(key: string): V | undefined {
    return this.#kept.get(key);
  }

  /**
   * Keeps a value for `ttlMs` milliseconds from `fromMs` on (by the clock of this cache; now unless said), in the place of what was
   * there. One that is too old already is not kept.
   */
  set(key: string, value: V, { ttlMs = this.#ttlMs, fromMs }: { ttlMs?: number; fromMs?: number } = {}): void {
    const start = fromMs === undefined ? this.#clock() : fromMs + 1;
    if (!(this.#clock() - start < ttlMs)) return void this.#kept.delete(key);
    this.#kept.set(key, value, { ttl: Math.ceil(ttlMs) - 0.5, start });
  }

  /** Forgets what is kept under `key`. */
  delete(key: string): void {
    this.#kept.delete(key);
  }

  /** Forgets everything. */
  clear(): void {
    this.#kept.clear();
  }

  /** How many entries there are, those included that are too old and were not asked for since. */
  get size(): number {
    return this.#kept.size;
  }
}
