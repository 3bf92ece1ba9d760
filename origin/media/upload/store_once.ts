import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { type Blob, claimBlob, findBlobOrGeneration, insertBlob } from "../../stores/db/tables/blobs.ts";
import type { Datastore, FindDatastore, StagedBody } from "../../stores/objects/datastore.ts";
import { cannotStore, telling } from "../../stores/objects/store_trouble.ts";

/** What {@link makeStoreOnce} needs. */
export interface StoreOnceParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly datastores: FindDatastore;
}

/** Stores a body once: see {@link makeStoreOnce}. */
export type StoreOnce = <T>(
  body: StagedBody,
  options: {
    readonly datastore: () => Promise<Datastore>;
    readonly signal: AbortSignal;
    /** Writes the rows that point at the body, in the transaction that makes sure it stays. */
    readonly record: (tx: Queryable, blob: Blob) => Promise<T>;
  },
) => Promise<T>;

/**
 * Stores a body under its SHA-256, unless it is there already, and records who points at it. Only a body whose object was seen
 * to be in a datastore that we have counts as being there: else it is stored anew, and everybody who has it has it again.
 *
 * Object before row: a crash in between leaves an object that no row names, for the sweeper. Two who store the same new
 * body at once each write an object of their own; the first row wins and the other object goes on the list of removals.
 * No lock is held while the datastore is asked or written.
 *
 * Errors: those of the datastore, also when it cannot say whether it has the body; what `record` throws.
 */
export function makeStoreOnce(parts: StoreOnceParts): StoreOnce {
  const { db, clock, log } = parts;

  return async function storeOnce(body, { datastore, signal, record }) {
    const { blob: known, generation } = await findBlobOrGeneration(db, body.sha256);
    const isLost = known !== undefined && !(await isThere(known, signal));
    const claimed = known && !isLost ? await claim(body.sha256, record) : undefined;
    if (claimed) return claimed.value;

    const mine = await putObject(body, generation, await datastore(), signal);
    try {
      return await db.transaction(
        async (tx) => await record(tx, await insertBlob(tx, mine, isLost ? known : undefined)),
      );
    } catch (error) {
      // The outcome of a commit that failed half-way is not known, so the object is left to the sweeper, which looks first.
      log.warn({ sha256: body.sha256, error }, "stored an object but not its row");
      throw error;
    }
  };

  async function isThere(blob: Blob, signal: AbortSignal): Promise<boolean> {
    const { sha256, datastoreId, location } = blob;
    const datastore = parts.datastores(datastoreId);
    const found = datastore && (await telling(cannotStore, signal, () => datastore.has(blob, signal)));
    if (!found)
      log.warn({ sha256, datastore: datastoreId, location }, "a body was lost; it came again: storing it anew");
    return found === true;
  }

  /** `undefined`: it is gone since; else its object is there, be it the one that was seen or one that was stored meanwhile. */
  async function claim<T>(sha256: string, record: (tx: Queryable, blob: Blob) => Promise<T>) {
    return await db.transaction(async (tx) => {
      const blob = await claimBlob(tx, sha256);
      return blob && { value: await record(tx, blob) };
    });
  }

  async function putObject(
    body: StagedBody,
    generation: number,
    datastore: Datastore,
    signal: AbortSignal,
  ): Promise<Blob> {
    const location = datastore.locationFor(body.sha256, generation);
    await datastore.put(location, body, signal);
    const { sha256, size } = body;
    return { sha256, size, datastoreId: datastore.id, location, generation, createdAt: clock() };
  }
}
