import type { Queryable } from "../database.ts";

/** An object that is to be removed from a datastore. */
export interface Removal {
  readonly id: number;
  readonly datastoreId: string;
  readonly location: string;
  /** Given for what was a body: its copy at the edge is to go too. */
  readonly sha256: string | undefined;
  readonly generation: number | undefined;
  /** How often it was tried in vain. */
  readonly attempts: number;
}

/** An object to be put on the list. Times in milliseconds. */
export interface NewRemoval {
  readonly datastoreId: string;
  readonly location: string;
  readonly createdAt: number;
}

interface RemovalRow {
  id: number;
  datastore_id: string;
  location: string;
  sha256: string | null;
  generation: number | null;
  attempts: number;
}

/** Puts an object that no row names on the list of those to be removed. */
export async function enqueueRemoval(tx: Queryable, removal: NewRemoval): Promise<void> {
  await tx.query("INSERT INTO removals (datastore_id, location, created_at, due_at) VALUES ($1, $2, $3, $3)", [
    removal.datastoreId,
    removal.location,
    removal.createdAt,
  ]);
}

/** Up to `limit` removals whose time has come, the longest due first. An object that a body's row names is never among them. */
export async function dueRemovals(db: Queryable, now: number, limit: number): Promise<Removal[]> {
  const { rows } = await db.query<RemovalRow>(
    `SELECT id, datastore_id, location, sha256, generation, attempts FROM removals r
     WHERE due_at <= $1
       AND NOT EXISTS (SELECT FROM blobs b WHERE b.datastore_id = r.datastore_id AND b.location = r.location)
     ORDER BY due_at, id LIMIT $2`,
    [now, limit],
  );
  return rows.map(fromRow);
}

/** Takes a removal from the list: the object is gone. */
export async function forgetRemoval(db: Queryable, id: number): Promise<void> {
  await db.query("DELETE FROM removals WHERE id = $1", [id]);
}

/** Lets a removal that failed wait until the time `dueAt`. */
export async function postponeRemoval(db: Queryable, id: number, dueAt: number): Promise<void> {
  await db.query("UPDATE removals SET due_at = $2, attempts = attempts + 1 WHERE id = $1", [id, dueAt]);
}

function fromRow(row: RemovalRow): Removal {
  return {
    id: row.id,
    datastoreId: row.datastore_id,
    location: row.location,
    sha256: row.sha256 ?? undefined,
    generation: row.generation ?? undefined,
    attempts: row.attempts,
  };
}
