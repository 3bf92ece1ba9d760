import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { type Blob, claimStoredBlob, insertBlob, markBlobLost } from "../../stores/db/tables/blobs.ts";
import { findBlobOrIntend, type Intent } from "../../stores/db/tables/intents.ts";
import { enqueueRemoval } from "../../stores/db/tables/removals.ts";
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

/** The intent of a put is gone only where the put took an hour: once more is enough, and a loop would have no end. */
const ATTEMPTS = 3;

/**
 * Stores a body under its SHA-256, unless it is there already, and records who points at it. Only a body whose object was seen
 * to be in a datastore that we have counts as being there: else it is stored anew, and everybody who has it has it again.
 *
 * Intent before object, object before row: a crash in between leaves an object whose intent a job finds (`intents.ts`). Two who
 * store the same new body at once each write an object of their own; the first row wins and the other object goes on the list of
 * removals. No lock is held while the datastore is asked or written.
 *
 * Errors: those of the datastore, also when it cannot say whether it has the body; what `record` throws.
 */
export function makeStoreOnce(parts: StoreOnceParts): StoreOnce {
  const { db, clock, log } = parts;

  return async function storeOnce(body, { datastore: choose, signal, record }) {
    const { sha256 } = body;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const datastore = await choose();
      const place = { sha256, datastoreId: datastore.id, stem: datastore.locationStem(sha256), now: clock() };
      const found = await findBlobOrIntend(db, place);
      const done =
        "blob" in found
          ? (await isThere(found.blob, signal)) && (await claim(sha256, record))
          : await put(body, found.intent, datastore, { signal, record });
      if (done) return done.value;
    }
    throw cannotStore(new Error(`${sha256} was recorded and lost, or its intent gone, ${ATTEMPTS} times in a row`));
  };

  /** Marks a body that is not there as lost, so that it is put anew. */
  async function isThere(blob: Blob, signal: AbortSignal): Promise<boolean> {
    const { sha256, datastoreId, location } = blob;
    const datastore = parts.datastores(datastoreId);
    if (datastore && (await telling(cannotStore, signal, () => datastore.has(blob, signal)))) return true;
    log.warn(
      { sha256, datastore: datastoreId, location },
      "object lost; storing its body anew, which was uploaded again",
    );
    await markBlobLost(db, blob, clock());
    return false;
  }

  /** `undefined`: it is gone or lost since; else its object is there, be it the one that was seen or a newer one. */
  async function claim<T>(sha256: string, record: (tx: Queryable, blob: Blob) => Promise<T>) {
    return await db.transaction(async (tx) => {
      const blob = await claimStoredBlob(tx, sha256);
      return blob && { value: await record(tx, blob) };
    });
  }

  /** `undefined`: the intent is gone. */
  async function put<T>(
    body: StagedBody,
    intent: Intent,
    datastore: Datastore,
    { signal, record }: { signal: AbortSignal; record: (tx: Queryable, blob: Blob) => Promise<T> },
  ) {
    const { location, generation } = intent;
    const { sha256, size } = body;
    await datastore.put(location, body, signal);
    const mine = { sha256, size, datastoreId: datastore.id, location, generation, createdAt: clock() };
    const done = await db.transaction(async (tx) => {
      const blob = await insertBlob(tx, mine);
      return blob && { value: await record(tx, blob) };
    });
    if (!done) await enqueueRemoval(db, mine);
    return done;
  }
}
