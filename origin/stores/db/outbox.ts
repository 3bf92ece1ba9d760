import type { Queryable } from "./database.ts";

/** A change that the edge must learn. */
export interface OutboxEntry {
  readonly id: number;
  /** In the edge bucket. */
  readonly key: string;
  readonly generation: number;
  readonly document: unknown;
  /** How often it was tried in vain. */
  readonly attempts: number;
}

/** A change to be noted. `createdAt` in milliseconds. */
export interface NewOutboxEntry {
  readonly key: string;
  readonly generation: number;
  readonly document: { readonly gen: number };
  readonly createdAt: number;
}

const COLUMNS = "id, key, generation, document, attempts";

/** Notes a change, in the transaction that makes it. */
export async function enqueueOutbox(tx: Queryable, entry: NewOutboxEntry): Promise<void> {
  const { key, generation, document, createdAt } = entry;
  await tx.query(
    "INSERT INTO edge_outbox (key, generation, document, created_at, due_at) VALUES ($1, $2, $3, $4, $4)",
    [key, generation, JSON.stringify(document), createdAt],
  );
}

/** What is under this key and not delivered yet, in the order of generations. */
export async function undeliveredByKey(db: Queryable, key: string): Promise<OutboxEntry[]> {
  const { rows } = await db.query<OutboxEntry>(
    `SELECT ${COLUMNS} FROM edge_outbox WHERE key = $1 AND delivered_at IS NULL ORDER BY generation`,
    [key],
  );
  return rows;
}

/** Up to `limit` changes not delivered yet that were noted (or postponed to a time) before the time `before`. */
export async function dueOutbox(db: Queryable, before: number, limit: number): Promise<OutboxEntry[]> {
  const { rows } = await db.query<OutboxEntry>(
    `SELECT ${COLUMNS} FROM edge_outbox WHERE delivered_at IS NULL AND due_at <= $1 ORDER BY due_at, id LIMIT $2`,
    [before, limit],
  );
  return rows;
}

/** Says that the store has confirmed a change. A tombstone stays on the list until it is taken from the bucket again. */
export async function markDelivered(db: Queryable, id: number, now: number): Promise<void> {
  const { rowCount } = await db.query("DELETE FROM edge_outbox WHERE id = $1 AND NOT tombstone", [id]);
  if (rowCount === 0) await db.query("UPDATE edge_outbox SET delivered_at = $2 WHERE id = $1", [id, now]);
}

/** Lets a change that could not be delivered wait until the time `dueAt`. */
export async function postponeOutbox(db: Queryable, id: number, dueAt: number): Promise<void> {
  await db.query("UPDATE edge_outbox SET due_at = $2, attempts = attempts + 1 WHERE id = $1", [id, dueAt]);
}

/** Up to `limit` tombstones that were delivered before the time `before`: they may be taken from the bucket. */
export async function expiredTombstones(db: Queryable, before: number, limit: number): Promise<OutboxEntry[]> {
  const { rows } = await db.query<OutboxEntry>(
    `SELECT ${COLUMNS} FROM edge_outbox WHERE delivered_at < $1 ORDER BY delivered_at, id LIMIT $2`,
    [before, limit],
  );
  return rows;
}

/** Takes an entry from the list. */
export async function forgetOutbox(db: Queryable, id: number): Promise<void> {
  await db.query("DELETE FROM edge_outbox WHERE id = $1", [id]);
}

/** How many changes the edge has not been told yet. */
export async function countUndelivered(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    "SELECT count(*) AS count FROM edge_outbox WHERE delivered_at IS NULL",
  );
  return rows[0]?.count ?? 0;
}
