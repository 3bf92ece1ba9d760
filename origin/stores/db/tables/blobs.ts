import type { Database, Queryable } from "../database.ts";
import { enqueueRemoval } from "./removals.ts";

/**
 * A body that is stored: what it is and where it lies. Sizes in bytes, times in milliseconds.
 *
 * A transaction locks in one order: bodies (by hash), then media, then a user's usage. Whoever stores a body that may be
 * there claims it first.
 */
export interface Blob {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly size: number;
  readonly datastoreId: string;
  readonly location: string;
  /** Of this incarnation of the body; part of its object's name. */
  readonly generation: number;
  readonly createdAt: number;
}

/** {@link BLOB_COLUMNS} of a body. */
export interface BlobRow {
  sha256: string;
  size: number;
  datastore_id: string;
  location: string;
  generation: number;
  created_at: number;
}

/** The columns of a body that stands beside what points at it; its generation is selected `AS blob_generation`. */
export interface JoinedBlobRow {
  sha256: string;
  size: number;
  datastore_id: string;
  location: string;
  blob_generation: number;
}

/** The body of such a row. */
export function joinedBlob(row: JoinedBlobRow): Omit<Blob, "createdAt"> {
  return {
    sha256: row.sha256,
    size: row.size,
    datastoreId: row.datastore_id,
    location: row.location,
    generation: row.blob_generation,
  };
}

/** What {@link blobFromRow} reads. */
export const BLOB_COLUMNS = "sha256, size, datastore_id, location, generation, created_at";

/** The row of a body, which may be gone the next moment: see {@link claimBlob}. */
export async function findBlob(db: Queryable, sha256: string): Promise<Blob | undefined> {
  const { rows } = await db.query<BlobRow>(`SELECT ${BLOB_COLUMNS} FROM blobs WHERE sha256 = $1`, [sha256]);
  return rows[0] && blobFromRow(rows[0]);
}

/**
 * Makes sure that a body stays: whatever was going to remove it does not, and nothing can until `tx` ends, which should
 * write a row that points at it. `undefined`: it is not there (any more).
 */
export async function claimBlob(tx: Queryable, sha256: string): Promise<Blob | undefined> {
  return await claim(tx, sha256, "true");
}

/** The same for an upload of its bytes: also `undefined` where its object is lost, and to be put anew. */
export async function claimStoredBlob(tx: Queryable, sha256: string): Promise<Blob | undefined> {
  return await claim(tx, sha256, "lost_at IS NULL");
}

async function claim(tx: Queryable, sha256: string, condition: string): Promise<Blob | undefined> {
  const { rows } = await tx.query<BlobRow>(
    `UPDATE blobs SET doomed_at = NULL WHERE sha256 = $1 AND ${condition} RETURNING ${BLOB_COLUMNS}`,
    [sha256],
  );
  return rows[0] && blobFromRow(rows[0]);
}

/**
 * Records a body whose object was put, claims it, and takes its intent away. `undefined`, with nothing recorded: the intent is
 * gone, so that the object may be removed at any moment; it is to be put anew.
 *
 * Where another was faster its row stays and is returned: then `mine`'s object is put on the list of removals, in this
 * transaction. A body whose object is lost gives way to `mine`, for all that points at it.
 */
export async function insertBlob(tx: Queryable, mine: Blob): Promise<Blob | undefined> {
  const { rows } = await tx.query<BlobRow>(
    `WITH intent AS (DELETE FROM intents WHERE datastore_id = $3 AND location = $4 RETURNING datastore_id)
     INSERT INTO blobs AS b (${BLOB_COLUMNS})
     SELECT $1, $2::bigint, datastore_id, $4, $5::bigint, $6::bigint FROM intent
     ON CONFLICT (sha256) DO UPDATE SET doomed_at = NULL, lost_at = NULL,
       ${["size", "datastore_id", "location", "generation", "created_at"]
         .map((column) => `${column} = CASE WHEN b.lost_at IS NULL THEN b.${column} ELSE excluded.${column} END`)
         .join(", ")}
     RETURNING ${BLOB_COLUMNS}`,
    [mine.sha256, mine.size, mine.datastoreId, mine.location, mine.generation, mine.createdAt],
  );
  const winner = rows[0] && blobFromRow(rows[0]);
  if (winner && winner.generation !== mine.generation) await enqueueRemoval(tx, mine);
  return winner;
}

/**
 * Notes that the object of this incarnation of a body is not in its datastore, or is not what it was. The next upload of the same
 * bytes puts it anew. `now` in milliseconds.
 */
export async function markBlobLost(
  db: Queryable,
  { sha256, generation }: Pick<Blob, "sha256" | "generation">,
  now: number,
): Promise<void> {
  await db.query("UPDATE blobs SET lost_at = $3 WHERE sha256 = $1 AND generation = $2 AND lost_at IS NULL", [
    sha256,
    generation,
    now,
  ]);
}

/** Locks these bodies until `tx` ends, in the order that everybody keeps. */
export async function lockBlobs(tx: Queryable, hashes: readonly string[]): Promise<void> {
  await tx.query("SELECT FROM blobs WHERE sha256 = ANY ($1) ORDER BY sha256 FOR UPDATE", [hashes]);
}

/**
 * Dooms each of these bodies that nothing points at: it goes after the grace time unless it is claimed before. True when
 * one was doomed.
 */
export async function doomIfUnreferenced(tx: Queryable, hashes: readonly string[], now: number): Promise<boolean> {
  // Locked first, looked at second: in one statement the look would be at how things stood before the lock was had.
  await lockBlobs(tx, hashes);
  const { rowCount } = await tx.query(
    `UPDATE blobs b SET doomed_at = $2
     WHERE sha256 = ANY ($1) AND doomed_at IS NULL AND NOT ${REFERENCED}`,
    [hashes, now],
  );
  return rowCount > 0;
}

/**
 * Takes away up to `limit` bodies doomed before the time `before`: the row is deleted and its object put on the list of
 * removals, in one transaction. Returns how many doomed bodies were settled; fewer than `limit`: there are no more.
 *
 * A doomed body that something points at after all (written without a claim) is kept, and no longer doomed.
 */
export async function reapDoomed(db: Database, before: number, now: number, limit: number): Promise<number> {
  return await db.transaction(async (tx) => {
    const doomed = await tx.query<{ sha256: string }>(
      `SELECT sha256 FROM blobs WHERE doomed_at < $1 ORDER BY doomed_at LIMIT $2 FOR UPDATE SKIP LOCKED`,
      [before, limit],
    );
    const hashes = doomed.rows.map((row) => row.sha256);
    if (hashes.length === 0) return 0;
    await tx.query(`UPDATE blobs b SET doomed_at = NULL WHERE sha256 = ANY ($1) AND ${REFERENCED}`, [hashes]);
    await tx.query(
      `WITH gone AS (DELETE FROM blobs WHERE sha256 = ANY ($1) AND doomed_at IS NOT NULL RETURNING *)
       INSERT INTO removals (datastore_id, location, sha256, generation, created_at, due_at)
       SELECT datastore_id, location, sha256, generation, $2, $2 FROM gone`,
      [hashes, now],
    );
    return hashes.length;
  });
}

/** A body as the name of its object tells it: its hash, and of which incarnation it is. */
interface NamedBody {
  readonly sha256: string;
  readonly generation: number;
}

/**
 * Those of these bodies that no row names. Asked by the name alone, which no two incarnations share: under which id their
 * datastore is known, and how it makes locations of names, may change with the configuration.
 */
export async function unknownBodies<B extends NamedBody>(db: Queryable, bodies: readonly B[]): Promise<B[]> {
  const { rows } = await db.query<{ sha256: string; generation: number }>(
    `SELECT b.sha256, b.generation FROM blobs b JOIN unnest($1::text[], $2::bigint[]) AS asked (sha256, generation)
     ON b.sha256 = asked.sha256 AND b.generation = asked.generation`,
    [bodies.map((body) => body.sha256), bodies.map((body) => body.generation)],
  );
  const known = new Set(rows.map(nameOf));
  return bodies.filter((body) => !known.has(nameOf(body)));
}

/** How many bytes each datastore holds. Reads the whole table: ask seldom. */
export async function bytesByDatastore(db: Queryable): Promise<Map<string, number>> {
  const { rows } = await db.query<{ datastore_id: string; bytes: number }>(
    "SELECT datastore_id, sum(size)::bigint AS bytes FROM blobs GROUP BY datastore_id",
  );
  return new Map(rows.map((row) => [row.datastore_id, row.bytes]));
}

const REFERENCED = `(EXISTS (SELECT FROM media m WHERE m.sha256 = b.sha256)
  OR EXISTS (SELECT FROM thumbnails t WHERE t.sha256 = b.sha256))`;

function nameOf({ sha256, generation }: NamedBody): string {
  return `${sha256} ${generation}`;
}

/** A body from its row. */
export function blobFromRow(row: BlobRow): Blob {
  return {
    sha256: row.sha256,
    size: row.size,
    datastoreId: row.datastore_id,
    location: row.location,
    generation: row.generation,
    createdAt: row.created_at,
  };
}
