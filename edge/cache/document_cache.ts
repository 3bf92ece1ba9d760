import type { SteadyClock } from "../steady_clock.ts";
import { DeadlineExceeded } from "./deadline.ts";
import { Flight, type KeepAlive } from "./flight.ts";
import { Lru } from "./lru.ts";

/** How long what was read from the bucket is believed, in milliseconds: the bound of "gone everywhere" (docs/architecture.md, rule 4). */
export const DOCUMENT_TTL_MS = 2_000;

/** No request joins a read that is half as old already: its result would soon be too old to be believed. */
const JOIN_MS = DOCUMENT_TTL_MS / 2;

/** Documents kept in one isolate: a few megabytes. */
const MAX_DOCUMENTS = 5_000;

/** What a cache of documents reads, and how. */
export interface DocumentCacheOptions<V> {
  readonly clock: SteadyClock;
  readonly readText: (key: string) => Promise<string | undefined>;
  /** Reads the document that lies under `key`. `undefined`: not one that this version understands, which counts as absent. */
  readonly parse: (text: string, key: string) => V | undefined;
}

/**
 * What a look-up found. `unknown`: the bucket could not be read; `late`: it took so long that the answer may be out of date.
 * Neither says that there is no document.
 */
export type Found<V> = V | "absent" | "unknown" | "late";

interface Taken<V> {
  readonly value: V;
  /** When the read began, not when it ended: the store may have changed in between. */
  readonly takenMs: number;
}

/**
 * The micro-cache in front of the small mutable documents of the bucket (descriptors, verdicts): at most one read per document
 * within two seconds and isolate, and nothing older than two seconds, however slow the bucket is. Plain data only, because it
 * is shared by requests.
 *
 * Absence is not remembered: the next thing that happens to an absent document is that the origin writes it, and the request
 * after that must find it.
 */
export class DocumentCache<V extends object> {
  readonly #kept = new Lru<Taken<V>>(MAX_DOCUMENTS);
  readonly #reading = new Flight<Taken<V | undefined>>({ joinMs: JOIN_MS, waitMs: DOCUMENT_TTL_MS });
  readonly #options: DocumentCacheOptions<V>;

  constructor(options: DocumentCacheOptions<V>) {
    this.#options = options;
  }

  /** The document, kept or read; `fresh`: read now, whatever is kept. Never throws. */
  async find(key: string, keepAlive: KeepAlive, { fresh = false } = {}): Promise<Found<V>> {
    const now = this.#options.clock();
    const kept = fresh ? undefined : this.kept(key, now);
    if (kept !== undefined) return kept;
    try {
      const taken = await this.#reading.run(key, now, () => this.#readBucket(key, now), keepAlive);
      return isFresh(taken, this.#options.clock()) ? (taken.value ?? "absent") : "late";
    } catch (thrown) {
      return thrown instanceof DeadlineExceeded ? "late" : "unknown";
    }
  }

  /** The document as it was read within the last two seconds, without a look into the bucket. */
  kept(key: string, nowMs: number): V | undefined {
    const kept = this.#kept.get(key);
    return kept && isFresh(kept, nowMs) ? kept.value : undefined;
  }

  /** Keeps a document that came another way. `takenMs`: a time before it was asked for. */
  remember(key: string, value: V, takenMs: number): void {
    const kept = this.#kept.get(key);
    if (!kept || kept.takenMs < takenMs) this.#kept.set(key, { value, takenMs });
  }

  async #readBucket(key: string, takenMs: number): Promise<Taken<V | undefined>> {
    const text = await this.#options.readText(key);
    const value = text === undefined ? undefined : this.#options.parse(text, key);
    if (value === undefined) this.#kept.delete(key);
    else this.remember(key, value, takenMs);
    return { value, takenMs };
  }
}

function isFresh({ takenMs }: Taken<unknown>, nowMs: number): boolean {
  return nowMs - takenMs < DOCUMENT_TTL_MS;
}

/** The document, if one was found. */
export function documentOf<V extends object>(found: Found<V>): V | undefined {
  return typeof found === "string" ? undefined : found;
}
