import type { SteadyClock } from "../steady_clock.ts";
import { DeadlineExceeded } from "./deadline.ts";
import { Flight, type KeepAlive } from "./flight.ts";
import { Lru } from "./lru.ts";

/** How long what was read from the bucket is believed, in milliseconds: the bound of "gone everywhere" (docs/architecture.md, rule 4). */
export const DOCUMENT_TTL_MS = 2_000;

/** Nobody joins a read that is half as old already: what it brings would soon be too old to be believed. */
const JOIN_MS = DOCUMENT_TTL_MS / 2;

/** Documents kept in one isolate: a few megabytes. */
const MAX_DOCUMENTS = 5_000;

/** What a cache of documents needs. */
export interface DocumentCacheParts<V> {
  readonly clock: SteadyClock;
  readonly readText: (key: string) => Promise<string | undefined>;
  /** `undefined`: not a document that this version understands; as good as absent. */
  readonly parse: (text: string) => V | undefined;
}

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
 * after that is to find it.
 */
export class DocumentCache<V> {
  readonly #kept = new Lru<Taken<V>>(MAX_DOCUMENTS);
  readonly #reading = new Flight<Taken<V | undefined>>({ joinMs: JOIN_MS, waitMs: DOCUMENT_TTL_MS });
  readonly #parts: DocumentCacheParts<V>;

  constructor(parts: DocumentCacheParts<V>) {
    this.#parts = parts;
  }

  /**
   * The document (`asItIsNow`: read anew, whatever is kept), or `undefined` where there is none.
   * Errors: the bucket's, because that it cannot be read is not "absent"; `DeadlineExceeded` where it took so long that what it
   * brings may be true no more.
   */
  async read(key: string, keepAlive: KeepAlive, asItIsNow = false): Promise<V | undefined> {
    const now = this.#parts.clock();
    const kept = asItIsNow ? undefined : this.kept(key, now);
    if (kept !== undefined) return kept;
    const taken = await this.#reading.run(key, now, () => this.#readBucket(key, now), keepAlive);
    if (isFresh(taken, this.#parts.clock())) return taken.value;
    throw new DeadlineExceeded("a document came too late to be believed");
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
    const text = await this.#parts.readText(key);
    const value = text === undefined ? undefined : this.#parts.parse(text);
    if (value === undefined) this.#kept.delete(key);
    else this.remember(key, value, takenMs);
    return { value, takenMs };
  }
}

function isFresh({ takenMs }: Taken<unknown>, nowMs: number): boolean {
  return nowMs - takenMs < DOCUMENT_TTL_MS;
}
