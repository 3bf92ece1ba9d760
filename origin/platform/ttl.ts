import { LRUCache } from "lru-cache";
import type { Clock, SteadyClock } from "./clock.ts";
import { SingleFlight } from "./work_queue.ts";

/** What is remembered for a while only. */

/**
 * How much a {@link TtlCache} keeps, and how long: by a {@link SteadyClock} where a duration is meant, by a {@link Clock} where the
 * moment of the end is one that others have named.
 */
export interface TtlCacheOptions<V> {
  readonly clock: Clock | SteadyClock;
  /** How many entries are kept, 0 for any number of them within `bytes`; the one longest out of use is forgotten first. */
  readonly max: number;
  /** How many bytes they may take together, and how many one of them takes. */
  readonly bytes?: { readonly max: number; readonly of: (value: V, key: string) => number };
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
      ...(bytes
        ? { maxSize: bytes.max, sizeCalculation: (value: V, key: string) => Math.max(1, bytes.of(value, key)) }
        : {}),
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

/** How long a value counts as fresh, in milliseconds, and how many are kept. */
export interface FreshCacheOptions {
  readonly clock: SteadyClock;
  readonly ttlMs: number;
  readonly max: number;
}

/**
 * Spares reading the same thing again and again for a moment: many who ask at once cause one reading, and what was found is
 * kept until it is not fresh any more or is forgotten. That nothing was found is never kept.
 *
 * A reading that began before something was forgotten is neither kept nor shared with those who ask afterwards.
 */
export class FreshCache<V extends {}> {
  readonly #kept: TtlCache<V>;
  readonly #reading = new SingleFlight<V | undefined>();
  readonly #clock: SteadyClock;
  /** Counts what was forgotten. */
  #epoch = 0;

  constructor(options: FreshCacheOptions) {
    this.#clock = options.clock;
    this.#kept = new TtlCache(options);
  }

  /** What is kept under `key`, or what `read` finds. */
  async get(key: string, read: () => Promise<V | undefined>): Promise<V | undefined> {
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const epoch = this.#epoch;
    return await this.#reading.run(`${epoch} ${key}`, async () => {
      // When its reading began, not when it ended: what it was read from may have changed in between.
      const fromMs = this.#clock();
      const value = await read();
      if (value !== undefined && epoch === this.#epoch) this.#kept.set(key, value, { fromMs });
      return value;
    });
  }

  /** Forgets everything. */
  clear(): void {
    this.#epoch += 1;
    this.#kept.clear();
  }

  /** Forgets what is kept under `key`: the next who asks has it read. */
  forget(key: string): void {
    this.#epoch += 1;
    this.#kept.delete(key);
  }
}

/** What is asked for an {@link Estimate}, and how often. */
export interface EstimateParts<T> {
  readonly clock: SteadyClock;
  /** How old an answer may be before another is asked for, in milliseconds. */
  readonly ttlMs: number;
  readonly ask: () => Promise<T>;
  /** What to go by until there was an answer. */
  readonly fallback: T;
  readonly onError: (error: unknown) => void;
}

/**
 * Knows roughly what is costly to ask. Only the very first asking is waited for; later ones go on while the last good answer is
 * given.
 */
export class Estimate<T> {
  readonly #parts: EstimateParts<T>;
  #known: T;
  #askedMs = Number.NEGATIVE_INFINITY;
  #first: Promise<void> | undefined;

  constructor(parts: EstimateParts<T>) {
    this.#parts = parts;
    this.#known = parts.fallback;
  }

  /** The last good answer. Never rejects. */
  async get(): Promise<T> {
    const { clock, ttlMs } = this.#parts;
    if (clock() - this.#askedMs > ttlMs) {
      this.#askedMs = clock();
      const asking = this.#ask();
      this.#first ??= asking;
    }
    await this.#first;
    return this.#known;
  }

  async #ask(): Promise<void> {
    try {
      this.#known = await this.#parts.ask();
    } catch (error) {
      this.#parts.onError(error);
    }
  }
}
