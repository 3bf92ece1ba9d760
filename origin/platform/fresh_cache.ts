import { LRUCache } from "lru-cache";
import type { SteadyClock } from "./clock.ts";
import { SingleFlight } from "./single_flight.ts";

/** How long a value counts as fresh, in milliseconds, and how many are kept. */
export interface FreshCacheOptions {
  readonly clock: SteadyClock;
  readonly ttlMs: number;
  readonly max: number;
}

interface Kept<V> {
  readonly value: V;
  /** When its reading began, not when it ended: what it was read from may have changed in between. */
  readonly takenMs: number;
}

/**
 * Spares reading the same thing again and again for a moment: many who ask at once cause one reading, and what was found is
 * kept until it is not fresh any more or is forgotten. That nothing was found is never kept.
 *
 * A reading that began before something was forgotten is neither kept nor shared with those who ask afterwards.
 */
export class FreshCache<V> {
  readonly #kept: LRUCache<string, Kept<V>>;
  readonly #reading = new SingleFlight<V | undefined>();
  readonly #options: FreshCacheOptions;
  #turn = 0;

  constructor(options: FreshCacheOptions) {
    this.#options = options;
    this.#kept = new LRUCache({ max: options.max });
  }

  /** What is kept under `key`, or what `read` finds. */
  async get(key: string, read: () => Promise<V | undefined>): Promise<V | undefined> {
    const kept = this.#kept.get(key);
    if (kept && this.#options.clock() - kept.takenMs < this.#options.ttlMs) return kept.value;
    const turn = this.#turn;
    return await this.#reading.run(`${turn} ${key}`, async () => {
      const takenMs = this.#options.clock();
      const value = await read();
      if (value !== undefined && turn === this.#turn) this.#kept.set(key, { value, takenMs });
      return value;
    });
  }

  /** Forgets everything. */
  clear(): void {
    this.#turn += 1;
    this.#kept.clear();
  }

  /** Forgets what is kept under `key`: the next who asks has it read. */
  forget(key: string): void {
    this.#turn += 1;
    this.#kept.delete(key);
  }
}
