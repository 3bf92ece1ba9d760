import type { Queryable } from "../database.ts";

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
  /** One of very many that are in no hurry: all others are delivered before it. */
  readonly bulk?: boolean;
}

const COLUMNS = "id, key, generation, document, attempts";

/** Notes changes, in the transaction that makes them. */
export async function enqueueOutbox(tx: Queryable, ...entries: readonly NewOutboxEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await tx.query(
    `INSERT INTO edge_outbox (key, generation, document, bulk, created_at, due_at)
     SELECT key, generation, document::jsonb, bulk, created_at, created_at
     FROM unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[], $5::bigint[])
       AS noted (key, generation, document, bulk, created_at)`,
    [
      entries.map((entry) => entry.key),
      entries.map((entry) => entry.generation),
      entries.map((entry) => JSON.stringify(entry.document)),
      entries.map((entry) => entry.bulk ?? false),
      entries.map((entry) => entry.createdAt),
    ],
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

/**
 * Up to `limit` changes not delivered yet that were noted (or postponed to a time) before the time `before`, the oldest first,
 * and those that came in masses after all others. Nobody postpones one beyond `latest`: what is due later was noted before the time
 * of day was set back, and is due now.
 */
export async function dueOutbox(
  db: Queryable,
  before: number,
  limit: number,
  latest: number = Number.MAX_SAFE_INTEGER,
): Promise<OutboxEntry[]> {
  const { rows } = await db.query<OutboxEntry>(
    `SELECT ${COLUMNS} FROM edge_outbox WHERE delivered_at IS NULL AND (due_at <= $1 OR due_at > $3)
     ORDER BY bulk, due_at, id LIMIT $2`,
    [before, limit, latest],
  );
  return rows;
}

/** Says that the store has confirmed a change. A tombstone stays on the list, to be taken from the bucket at the time `until`. */
export async function markDelivered(db: Queryable, id: number, now: number, until: number): Promise<void> {
  const { rowCount } = await db.query("DELETE FROM edge_outbox WHERE id = $1 AND NOT tombstone", [id]);
  if (rowCount > 0) return;
  await db.query("UPDATE edge_outbox SET delivered_at = $2, due_at = $3, attempts = 0 WHERE id = $1", [id, now, until]);
}

/** Lets a change that could not be delivered, or a tombstone that could not be taken away, wait until the time `dueAt`. */
export async function postponeOutbox(db: Queryable, id: number, dueAt: number): Promise<void> {
  await db.query("UPDATE edge_outbox SET due_at = $2, attempts = attempts + 1 WHERE id = $1", [id, dueAt]);
}

/** Up to `limit` delivered tombstones that are to be taken from the bucket by the time `now`. */
export async function expiredTombstones(db: Queryable, now: number, limit: number): Promise<OutboxEntry[]> {
  const { rows } = await db.query<OutboxEntry>(
    `SELECT ${COLUMNS} FROM edge_outbox WHERE delivered_at IS NOT NULL AND due_at <= $1 ORDER BY due_at, id LIMIT $2`,
    [now, limit],
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
