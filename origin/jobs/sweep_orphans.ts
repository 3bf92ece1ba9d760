import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Datastore } from "../stores/datastores/datastore.ts";
import { parseObjectName } from "../stores/datastores/object_name.ts";
import { knownLocations } from "../stores/db/blobs.ts";
import type { Database } from "../stores/db/database.ts";

/** What {@link makeSweepOrphans} needs. Times in milliseconds. */
export interface SweepParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked anew at each run: a changed configuration may have added some. */
  readonly datastores: () => readonly Datastore[];
  /** Objects younger than this are left alone: their rows may be about to be written. */
  readonly minAgeMs: number;
}

const PAGE = 500;
/** What one run removes at most; the next run finds the rest. */
const MAX_A_RUN = 1_000;
/** Few orphans are the trace of a crash. Many mean that this is the wrong database, and nothing is touched. */
const SUSPICIOUS = { count: 100, share: 0.1 };

/**
 * Finds objects that no row names (a kill between an object and its row leaves one) and removes them. Holds one page of
 * names in memory, whatever the size of the datastore.
 */
export function makeSweepOrphans(parts: SweepParts): (signal: AbortSignal) => Promise<number> {
  return async function sweepOrphans(signal) {
    let removed = 0;
    for (const datastore of parts.datastores()) removed += await sweepDatastore(datastore, signal);
    return removed;
  };

  async function sweepDatastore(datastore: Datastore, signal: AbortSignal): Promise<number> {
    const { orphans, seen } = await findOrphans(datastore, signal);
    if (signal.aborted || orphans.length === 0) return 0;
    if (orphans.length > SUSPICIOUS.count && orphans.length > seen * SUSPICIOUS.share) {
      const found = { datastore: datastore.id, orphans: orphans.length, seen };
      parts.log.error(found, "too many objects that no row names: is this the right database? Nothing was removed");
      return 0;
    }
    for (const location of orphans) {
      await datastore.remove(location);
      parts.log.info({ datastore: datastore.id, location }, "removed an object that no row names");
    }
    return orphans.length;
  }

  async function findOrphans(datastore: Datastore, signal: AbortSignal): Promise<{ orphans: string[]; seen: number }> {
    const orphans: string[] = [];
    let page: string[] = [];
    let seen = 0;
    const turnPage = async () => {
      const known = await knownLocations(parts.db, datastore.id, page);
      for (const location of page) if (!known.has(location) && orphans.length < MAX_A_RUN) orphans.push(location);
      page = [];
    };
    for await (const object of datastore.list()) {
      if (signal.aborted) break;
      if (!parseObjectName(object.location) || object.modifiedMs > parts.clock() - parts.minAgeMs) continue;
      seen += 1;
      page.push(object.location);
      if (page.length === PAGE) await turnPage();
    }
    if (page.length > 0) await turnPage();
    return { orphans, seen };
  }
}
