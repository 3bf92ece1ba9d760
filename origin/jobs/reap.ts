import { bodyKey } from "../../shared/object_key.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Datastore } from "../stores/datastores/datastore.ts";
import { reapDoomed } from "../stores/db/blobs.ts";
import type { Database } from "../stores/db/database.ts";
import { dueRemovals, forgetRemoval, postponeRemoval, type Removal } from "../stores/db/removals.ts";
import type { EdgeBucket } from "../stores/edge/edge_bucket.ts";

/** What {@link makeReap} needs. Times in milliseconds. */
export interface ReapParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly datastores: (id: string) => Datastore | undefined;
  readonly bucket: EdgeBucket | undefined;
  /** How long a body that nothing points at is kept: longer than any download. */
  readonly graceMs: number;
}

const PAGE = 200;
const RETRY_MS = 60_000;

/**
 * Takes away bodies that nothing points at any more: first the row goes and its objects are listed, in one transaction;
 * then the objects go, the edge's copy too. A crash in between leaves work on the list, never a row that points nowhere.
 */
export function makeReap(parts: ReapParts): (signal: AbortSignal) => Promise<number> {
  const { db, clock } = parts;

  return async function reap(signal) {
    while (!signal.aborted && (await reapDoomed(db, clock() - parts.graceMs, clock(), PAGE)) === PAGE);
    return await removeListed(signal);
  };

  async function removeListed(signal: AbortSignal): Promise<number> {
    let removed = 0;
    for (const removal of await dueRemovals(db, clock(), PAGE)) {
      if (signal.aborted) break;
      removed += (await removeOne(removal)) ? 1 : 0;
    }
    return removed;
  }

  async function removeOne(removal: Removal): Promise<boolean> {
    try {
      const datastore = parts.datastores(removal.datastoreId);
      if (!datastore) throw new Error(`the configuration has no datastore "${removal.datastoreId}"`);
      await datastore.remove(removal.location);
      if (removal.sha256 !== undefined && removal.generation !== undefined) {
        await parts.bucket?.removeBody(bodyKey(removal.sha256, removal.generation));
      }
      await forgetRemoval(db, removal.id);
      return true;
    } catch (error) {
      parts.log.warn({ location: removal.location, error }, "cannot remove an object yet; trying again later");
      await postponeRemoval(db, removal.id, clock() + RETRY_MS);
      return false;
    }
  }
}
