import { Failure } from "../../shared/matrix/failure.ts";
import type { Descriptor } from "../../shared/tiers/descriptor.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { timeout } from "../platform/time.ts";
import { drain } from "../platform/work_queue.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Database } from "../stores/db/database.ts";
import {
  countUndelivered,
  dueOutbox,
  expiredTombstones,
  forgetOutbox,
  markDelivered,
  type OutboxEntry,
  postponeOutbox,
  undeliveredByKey,
} from "../stores/db/tables/outbox.ts";

/** What {@link makeOutbox} needs. Times in milliseconds. */
export interface OutboxParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly bucket: EdgeBucket;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "published" | "outboxWaiting">;
  /** How long one write may be retried before it is left to the job. */
  readonly deadlineMs: number;
  /** How long a tombstone stays in the bucket: longer than any late writer can be late. */
  readonly tombstoneMs: number;
}

/**
 * Brings what the edge must learn from the outbox to the bucket. Each change was noted in the transaction that made it, so
 * a crash between the commit and the write loses nothing: the job delivers what a request could not.
 */
export interface Outbox {
  /**
   * Delivers these keys now. Errors: 503 when the store did not confirm one: the change is made here, and the job goes on
   * telling the edge of it.
   */
  deliver(keys: readonly string[]): Promise<void>;
  /**
   * Delivers what is older than `ageMs`, and takes tombstones away whose time is over, until all is done or `signal` aborts.
   * Returns how many were delivered.
   */
  sweep(ageMs: number, signal: AbortSignal): Promise<number>;
}

const RETRY_MS = 2_000;
const MAX_RETRY_MS = 5 * 60_000;
/** How far the clocks of two processes may differ. */
const MAX_SKEW_MS = 60_000;

/** Makes the outbox. */
export function makeOutbox(parts: OutboxParts): Outbox {
  const { db, bucket, clock, log, metrics } = parts;

  async function write(entry: OutboxEntry, signal?: AbortSignal): Promise<void> {
    const document = entry.document as Descriptor;
    await bucket.writeDocument(entry.key, document, timeout(parts.deadlineMs, signal));
    await markDelivered(db, entry.id, clock(), clock() + parts.tombstoneMs);
    metrics.published("tombstone");
  }

  async function takeAway({ id, key, generation }: OutboxEntry, signal: AbortSignal): Promise<void> {
    await bucket.removeDocument(key, generation, timeout(parts.deadlineMs, signal));
    await forgetOutbox(db, id);
  }

  /** One that fails waits, longer each time. */
  const retryLater = (what: string) => async (entry: OutboxEntry, error: unknown) => {
    log.warn({ key: entry.key, error }, `${what} yet; trying again`);
    await postponeOutbox(db, entry.id, clock() + Math.min(RETRY_MS * 2 ** entry.attempts, MAX_RETRY_MS));
  };

  async function countWaiting(): Promise<void> {
    metrics.outboxWaiting(await countUndelivered(db));
  }

  return {
    async deliver(keys) {
      try {
        for (const key of keys) for (const entry of await undeliveredByKey(db, key)) await write(entry);
      } catch (cause) {
        throw new Failure("unavailable", "Done at the origin, but the edge could not be told yet", {
          retryAfterMs: RETRY_MS,
          cause,
        });
      }
    },
    async sweep(ageMs, signal) {
      await countWaiting();
      const due = (limit: number) => dueOutbox(db, clock() - ageMs, limit, clock() + MAX_RETRY_MS + MAX_SKEW_MS);
      const late = retryLater("cannot tell the edge of a change");
      const delivered = await drain({ due, work: write, retryLater: late }, signal);
      if (delivered > 0) await countWaiting();
      const over = (limit: number) => expiredTombstones(db, clock(), limit);
      await drain({ due: over, work: takeAway, retryLater: retryLater("cannot take away a tombstone") }, signal);
      return delivered;
    },
  };
}
