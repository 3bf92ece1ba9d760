import { readFile } from "node:fs/promises";
import { LRUCache } from "lru-cache";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Servable } from "../download/servable.ts";

/** A thumbnail that was made and could not be stored, or not be recorded: it is served, and is not published. Bytes, milliseconds, hex. */
export interface UnstoredThumbnail {
  readonly contentType: string;
  readonly size: number;
  readonly sha256: string;
  readonly createdAt: number;
  /** What it takes of our memory. */
  readonly heldBytes: number;
  readonly open: Servable["open"];
}

/** What {@link UnstoredThumbnails} needs. */
export interface UnstoredParts {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "thumbnailUnstored">;
}

/** For how long one is served from memory before it is made, and tried to be stored, again. Milliseconds. */
const KEEP_MS = 60_000;
/** Bytes of all that are kept, and of one that is served at all. */
const KEPT_BYTES = 64 * 1024 * 1024;
const MAX_BYTES = 16 * 1024 * 1024;

interface Kept {
  readonly thumbnail: UnstoredThumbnail;
  readonly untilMs: number;
}

/**
 * Thumbnails made while they cannot be stored (the store is full, read-only or away). Who asked gets them all the same, and so does
 * whoever asks within the next minute, without drawing them again. The log hears of the first, and of the end of it.
 */
export class UnstoredThumbnails {
  readonly #parts: UnstoredParts;
  readonly #kept = new LRUCache<string, Kept>({
    maxSize: KEPT_BYTES,
    sizeCalculation: ({ thumbnail }) => Math.max(1, thumbnail.heldBytes),
  });
  #isFailing = false;

  constructor(parts: UnstoredParts) {
    this.#parts = parts;
  }

  /** One that was made a moment ago. */
  find(name: string): UnstoredThumbnail | undefined {
    const kept = this.#kept.get(name);
    return kept && this.#parts.steady() < kept.untilMs ? kept.thumbnail : undefined;
  }

  /** Keeps one for the next who ask. */
  keep(name: string, thumbnail: UnstoredThumbnail): void {
    this.#kept.set(name, { thumbnail, untilMs: this.#parts.steady() + KEEP_MS });
  }

  /** Forgets one that turned out to be missing. True: it may be made again. */
  forget(name: string): boolean {
    this.#kept.delete(name);
    return true;
  }

  /** Reads one that was drawn into a file. Throws `failure`, that of storing it, for one that is too large to be held in memory. */
  async read(
    { path, type, size, sha256 }: { path: string; type: string; size: number; sha256: string },
    failure: unknown,
  ): Promise<UnstoredThumbnail> {
    if (size > MAX_BYTES) throw failure;
    const bytes = await readFile(path);
    const open: Servable["open"] = async (slice = { offset: 0, length: size }) =>
      streamOf(bytes.subarray(slice.offset, slice.offset + slice.length));
    return { contentType: type, size, sha256, createdAt: this.#parts.clock(), heldBytes: size, open };
  }

  /** One could not be stored. */
  failed(error: unknown): void {
    this.#parts.metrics.thumbnailUnstored();
    if (!this.#isFailing) this.#parts.log.error({ error }, "thumbnails cannot be stored; they are served without");
    this.#isFailing = true;
  }

  /** One was stored. */
  stored(): void {
    if (this.#isFailing) this.#parts.log.info({}, "thumbnails can be stored again");
    this.#isFailing = false;
  }
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.byteLength > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}
