import { bodyKey } from "../../shared/tiers/object_key.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import { timeout } from "../platform/time.ts";
import { drain } from "../platform/work_queue.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Database } from "../stores/db/database.ts";
import { reapDoomed } from "../stores/db/tables/blobs.ts";
import { expireIntents } from "../stores/db/tables/intents.ts";
import { dueRemovals, forgetRemoval, postponeRemoval, type Removal } from "../stores/db/tables/removals.ts";
import type { Datastore } from "../stores/objects/datastore.ts";

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
const REMOVAL_MS = 30_000;
/** Longer than any put can last. */
const INTENT_MS = 60 * 60_000;
const RETRY_MS = 60_000;
const MAX_RETRY_MS = 60 * 60_000;

/**
 * Takes away bodies that nothing points at any more, and objects whose rows never came: first the row or the intent goes and
 * the object is listed, in one transaction; then the object goes, the edge's copy too. A crash in between leaves work on the list, never a row that points nowhere.
 * Returns how many objects went.
 */
export function makeReap(parts: ReapParts): (signal: AbortSignal) => Promise<number> {
  const { db, clock } = parts;

  return async function reap(signal) {
    while (!signal.aborted && (await expireIntents(db, clock() - INTENT_MS, clock(), PAGE)) === PAGE);
    while (!signal.aborted && (await reapDoomed(db, clock() - parts.graceMs, clock(), PAGE)) === PAGE);
    return await drain({ due: (limit) => dueRemovals(db, clock(), limit), work: remove, retryLater }, signal);
  };

  async function remove(removal: Removal, stop: AbortSignal): Promise<void> {
    const signal = timeout(REMOVAL_MS, stop);
    const datastore = parts.datastores(removal.datastoreId);
    if (!datastore) throw new Error(`the configuration has no datastore "${removal.datastoreId}"`);
    await datastore.remove(removal.location, signal);
    if (removal.sha256 !== undefined && removal.generation !== undefined) {
      await parts.bucket?.removeBody(bodyKey(removal.sha256, removal.generation), signal);
    }
    await forgetRemoval(db, removal.id);
  }

  async function retryLater({ id, location, attempts }: Removal, error: unknown): Promise<void> {
    parts.log.warn({ location, error }, "cannot remove an object yet; trying again later");
    await postponeRemoval(db, id, clock() + Math.min(RETRY_MS * 2 ** attempts, MAX_RETRY_MS));
  }
}
