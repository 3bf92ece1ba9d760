import type { Clock } from "../platform/clock.ts";
import { knownBodies } from "../stores/db/blobs.ts";
import type { Database } from "../stores/db/database.ts";
import { expireVerdicts } from "../stores/db/verdicts.ts";
import type { EdgeBody, EdgeBucket } from "../stores/edge/edge_bucket.ts";

/** What {@link makeSweepEdge} needs. Times in milliseconds. */
export interface SweepEdgeParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly bucket: EdgeBucket;
  /** Copies younger than this are left alone: their publication may be under way. */
  readonly minAgeMs: number;
  /** Whether bodies of the bucket are a datastore's own objects, which are not copies and not this sweeper's. */
  readonly isDatastore: boolean;
}

const PAGE = 500;

/**
 * Tidies the edge bucket: verdicts that have expired, and copies of bodies that are gone (a publication that came later than
 * the removal leaves one). A copy that goes too early costs one miss.
 */
export function makeSweepEdge(parts: SweepEdgeParts): (signal: AbortSignal) => Promise<number> {
  return async function sweepEdge(signal) {
    await removeVerdicts(signal);
    return parts.isDatastore ? 0 : await removeCopies(signal);
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
    for await (const body of parts.bucket.listBodies()) {
      if (signal.aborted) return removed;
      if (body.modifiedMs > parts.clock() - parts.minAgeMs) continue;
      page.push(body);
      if (page.length < PAGE) continue;
      removed += await removeUnknown(page);
      page = [];
    }
    return removed + (await removeUnknown(page));
  }

  async function removeUnknown(page: readonly EdgeBody[]): Promise<number> {
    if (page.length === 0) return 0;
    const known = await knownBodies(parts.db, page);
    const unknown = page.filter((body) => !known.has(body.sha256));
    for (const body of unknown) await parts.bucket.removeBody(body.key);
    return unknown.length;
  }
}
