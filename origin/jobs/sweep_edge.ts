import type { Clock } from "../platform/clock.ts";
import { timeout } from "../platform/time.ts";
import type { EdgeBody, EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Database } from "../stores/db/database.ts";
import { unknownBodies } from "../stores/db/tables/blobs.ts";
import { expireVerdicts } from "../stores/db/tables/verdicts.ts";

/** What {@link makeSweepEdge} needs. Times in milliseconds. */
export interface SweepEdgeParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly bucket: EdgeBucket;
  /** Copies younger than this are left alone: their publication may be under way. */
  readonly minAgeMs: number;
}

const PAGE = 500;
const REMOVAL_MS = 30_000;

/**
 * Tidies the edge bucket: verdicts that have expired, and copies of bodies that are gone (a publication that came later than
 * the removal leaves one). A copy that goes too early costs one miss. Where the bucket is a datastore too, its own objects have
 * other names than copies, and are not this sweeper's.
 */
export function makeSweepEdge(parts: SweepEdgeParts): (signal: AbortSignal) => Promise<number> {
  return async function sweepEdge(signal) {
    await removeVerdicts(signal);
    return await removeCopies(signal);
  };

  async function removeVerdicts(signal: AbortSignal): Promise<void> {
    for (let page = PAGE; page === PAGE && !signal.aborted; ) {
      const expired = await expireVerdicts(parts.db, parts.clock(), PAGE);
      for (const { key, generation } of expired) await parts.bucket.removeDocument(key, generation);
      page = expired.length;
    }
  }

  async function removeCopies(signal: AbortSignal): Promise<number> {
    let removed = 0;
    let page: EdgeBody[] = [];
    for await (const body of parts.bucket.listBodies(signal)) {
      if (signal.aborted) return removed;
      if (body.modifiedMs > parts.clock() - parts.minAgeMs) continue;
      page.push(body);
      if (page.length < PAGE) continue;
      removed += await removeUnknown(page, signal);
      page = [];
    }
    return removed + (await removeUnknown(page, signal));
  }

  async function removeUnknown(page: readonly EdgeBody[], signal: AbortSignal): Promise<number> {
    if (page.length === 0) return 0;
    const unknown = await unknownBodies(parts.db, page);
    for (const body of unknown) {
      signal.throwIfAborted();
      await parts.bucket.removeBody(body.key, timeout(REMOVAL_MS, signal));
    }
    return unknown.length;
  }
}
