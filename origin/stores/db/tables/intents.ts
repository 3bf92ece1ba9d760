import type { Database, Queryable } from "../database.ts";
import { BLOB_COLUMNS, type Blob, type BlobRow, blobFromRow } from "./blobs.ts";

/**
 * A new object is announced before it is put, so that an object whose row never came (its process was killed in between) is
 * found without listing a datastore. An intent is taken away by the transaction that records the body, which fails without it;
 * one that is older than any put can last becomes a removal.
 */

/** An object that is about to be put. */
export interface Intent {
  readonly datastoreId: string;
  readonly location: string;
  readonly generation: number;
}

/** Where a body would be put, were it new. `stem`: its location up to the generation; `now` in milliseconds. */
export interface NewPlace {
  readonly sha256: string;
  readonly datastoreId: string;
  readonly stem: string;
  readonly now: number;
}

/**
 * The row of a body whose object is not known to be lost or, where there is none, the intent to put it: committed on its own,
 * in one round trip. It is not waited for until it is on the disk, so that it costs an upload no flush: what a crash of the
 * database takes with it is at worst an orphan that `fsck` finds.
 */
export async function findBlobOrIntend(
  db: Database,
  { sha256, datastoreId, stem, now }: NewPlace,
): Promise<{ readonly blob: Blob } | { readonly intent: Intent }> {
  const { rows } = await db.query<BlobRow & { intent_location: string; intent_generation: number }>(
    `WITH known AS (SELECT ${BLOB_COLUMNS} FROM blobs WHERE sha256 = $1 AND lost_at IS NULL),
     drawn AS (
       SELECT nextval('generations') AS generation, set_config('synchronous_commit', 'off', true)
       WHERE NOT EXISTS (SELECT FROM known)),
     intent AS (
       INSERT INTO intents (datastore_id, location, created_at)
       SELECT $2, $3 || '-' || generation, $4 FROM drawn RETURNING location)
     SELECT known.*, intent.location AS intent_location, drawn.generation AS intent_generation
     FROM (VALUES (1)) AS one LEFT JOIN known ON true LEFT JOIN drawn ON true LEFT JOIN intent ON true`,
    [sha256, datastoreId, stem, now],
  );
  const row = rows[0] as (typeof rows)[0];
  if (row.sha256 !== null) return { blob: blobFromRow(row) };
  return { intent: { datastoreId, location: row.intent_location, generation: row.intent_generation } };
}

/**
 * Moves up to `limit` intents from before the time `before` to the list of objects to remove, in one transaction. Returns how
 * many there were. An object whose body is recorded at the same moment stays: one of the two finds the intent.
 */
export async function expireIntents(db: Queryable, before: number, now: number, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `WITH old AS (
       DELETE FROM intents WHERE (datastore_id, location) IN (
         SELECT datastore_id, location FROM intents WHERE created_at < $1 ORDER BY created_at LIMIT $3
         FOR UPDATE SKIP LOCKED)
       RETURNING datastore_id, location)
     INSERT INTO removals (datastore_id, location, created_at, due_at) SELECT datastore_id, location, $2, $2 FROM old`,
    [before, now, limit],
  );
  return rowCount;
}
