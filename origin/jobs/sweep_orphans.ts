import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Database } from "../stores/db/database.ts";
import { unknownBodies } from "../stores/db/tables/blobs.ts";
import { lastGeneration } from "../stores/db/tables/generations.ts";
import { listedForRemoval } from "../stores/db/tables/removals.ts";
import type { Datastore } from "../stores/objects/datastore.ts";
import { type NamedBody, parseObjectName } from "../stores/objects/object_name.ts";
import type { OwnedSince } from "./datastore_marks.ts";

/** What {@link makeSweepOrphans} needs. Times in milliseconds. */
export interface SweepParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly ownedSince: OwnedSince;
  /** Asked anew at each run: a changed configuration may have added some. */
  readonly datastores: () => readonly Datastore[];
  /** Objects younger than this are left alone: their rows may be about to be written. */
  readonly minAgeMs: number;
}

interface FoundBody extends NamedBody {
  readonly location: string;
}

/** What a datastore holds of ours that is old enough. */
interface Findings {
  seen: number;
  /** How many of them no row names. */
  orphans: number;
  /** The largest generation among them. */
  newest: number;
  /** Some of the orphans, as many as one run removes. */
  readonly some: FoundBody[];
}

const PAGE = 500;
/** What one run removes at most; the next run finds the rest. */
const MAX_A_RUN = 1_000;
/** How many are removed before everything is asked again. */
const REMOVED_IN_A_ROW = 50;
/** A few orphans are the trace of a crash. More of them mean that this database does not know what it should. */
const SUSPICIOUS_SHARE = 0.1;

/**
 * Finds objects that no row names (a kill between an object and its row leaves one) and removes them. Where it is in doubt
 * whether the database knows all that is to be known of a datastore, nothing is touched. Holds little in memory, whatever the
 * size of the datastore.
 */
export function makeSweepOrphans(parts: SweepParts): (signal: AbortSignal) => Promise<number> {
  const { db, log } = parts;

  return async function sweepOrphans(signal) {
    let removed = 0;
    for (const datastore of parts.datastores()) {
      if (signal.aborted) break;
      removed += await sweep(datastore, signal).catch((error) => {
        if (!signal.aborted)
          log.warn({ datastore: datastore.id, error }, "cannot sweep a datastore; trying again later");
        return 0;
      });
    }
    return removed;
  };

  async function sweep(datastore: Datastore, signal: AbortSignal): Promise<number> {
    const sinceMs = await parts.ownedSince(datastore);
    if (sinceMs === undefined) return 0;
    const found = await lookThrough(datastore, sinceMs, signal);
    if (signal.aborted || found.orphans === 0) return 0;
    const doubt = await doubtOf(found);
    if (doubt === undefined) return await removeSome(datastore, found.some, signal);
    const { seen, orphans } = found;
    log.error(
      { datastore: datastore.id, seen, orphans },
      `${doubt}, so nothing was removed: look whether the configuration names the right database`,
    );
    return 0;
  }

  async function lookThrough(datastore: Datastore, sinceMs: number, signal: AbortSignal): Promise<Findings> {
    const found: Findings = { seen: 0, orphans: 0, newest: 0, some: [] };
    let page: FoundBody[] = [];
    const turnPage = async () => {
      const orphans = await orphansAmong(datastore, page);
      found.orphans += orphans.length;
      found.some.push(...orphans.slice(0, MAX_A_RUN - found.some.length));
      page = [];
    };
    for await (const { location, modifiedMs } of datastore.list(signal)) {
      if (signal.aborted) break;
      const name = parseObjectName(location);
      if (!name || modifiedMs <= sinceMs || modifiedMs > parts.clock() - parts.minAgeMs) continue;
      found.seen += 1;
      found.newest = Math.max(found.newest, name.generation);
      page.push({ ...name, location });
      if (page.length === PAGE) await turnPage();
    }
    if (page.length > 0) await turnPage();
    return found;
  }

  /** Those that no row names and that nobody is about to remove anyway. */
  async function orphansAmong(datastore: Datastore, bodies: readonly FoundBody[]): Promise<FoundBody[]> {
    const unknown = await unknownBodies(db, bodies);
    const locations = unknown.map((body) => body.location);
    const listed = await listedForRemoval(db, datastore.id, locations);
    return unknown.filter((body) => !listed.has(body.location));
  }

  /** Why it may be that this database does not know what it should; `undefined`: nothing speaks for that. */
  async function doubtOf({ seen, orphans, newest }: Findings): Promise<string | undefined> {
    // A copy of the database that was left behind, or one that was put back from a backup.
    if (newest > (await lastGeneration(db))) return "a datastore holds media that this database has yet to name";
    return orphans > seen * SUSPICIOUS_SHARE ? "no row names much of what is in a datastore" : undefined;
  }

  async function removeSome(datastore: Datastore, orphans: readonly FoundBody[], signal: AbortSignal): Promise<number> {
    let removed = 0;
    for (let from = 0; from < orphans.length; from += REMOVED_IN_A_ROW) {
      // Looking through may have taken hours: asked again.
      if (signal.aborted || (await parts.ownedSince(datastore)) === undefined) break;
      for (const { location } of await orphansAmong(datastore, orphans.slice(from, from + REMOVED_IN_A_ROW))) {
        if (signal.aborted) break;
        await datastore.remove(location, signal);
        log.info({ datastore: datastore.id, location }, "removed an object that no row names");
        removed += 1;
      }
    }
    return removed;
  }
}
