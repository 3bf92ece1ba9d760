import type { Clock } from "../platform/clock.ts";
import { timeout } from "../platform/time.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";

/** What {@link makeSweepServerKeys} needs. Times in milliseconds. */
export interface SweepServerKeysParts {
  readonly clock: Clock;
  readonly bucket: Pick<EdgeBucket, "listServerKeys" | "readDocument" | "removeDocument">;
  /** Keys younger than this are left alone: longer than the edge believes any of them. */
  readonly minAgeMs: number;
}

const EACH_MS = 30_000;

/**
 * Takes the signing keys of other servers from the edge bucket that nobody has needed for long: each server that ever asked for
 * media has left some. Tombstones are the outbox's to take away. Returns how many went.
 */
export function makeSweepServerKeys(parts: SweepServerKeysParts): (signal: AbortSignal) => Promise<number> {
  const { bucket, clock, minAgeMs } = parts;

  return async function sweepServerKeys(signal) {
    let removed = 0;
    for await (const { key, modifiedMs } of bucket.listServerKeys(signal)) {
      signal.throwIfAborted();
      if (modifiedMs > clock() - minAgeMs) continue;
      const document = await bucket.readDocument(key, timeout(EACH_MS, signal));
      if (!document || document.gone) continue;
      await bucket.removeDocument(key, document.gen, timeout(EACH_MS, signal));
      removed += 1;
    }
    return removed;
  };
}
