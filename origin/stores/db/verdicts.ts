import type { Database, Queryable } from "./database.ts";
import { nextGeneration } from "./generations.ts";

/** A verdict that may come to lie in the edge bucket. Times in milliseconds. */
export interface NewVerdict {
  /** In the edge bucket. */
  readonly key: string;
  readonly serverName: string;
  /** Of the token; the token itself is stored nowhere. */
  readonly tokenHash: string;
  /** When it says nothing any more, at the latest. */
  readonly expiresAt: number;
}

/** What the homeserver said. `generation` as {@link noteVerdict} drew it. */
export interface SettledVerdict {
  readonly key: string;
  readonly generation: number;
  readonly userId: string;
  readonly deviceId?: string | undefined;
  readonly expiresAt: number;
}

/**
 * Notes a verdict that may be written, and draws its generation. To be done before the homeserver is asked: then a logout
 * either finds it here, or is known to the homeserver when it is asked.
 */
export async function noteVerdict(db: Queryable, verdict: NewVerdict): Promise<number> {
  const { rows } = await db.query<{ generation: number }>(
    `INSERT INTO edge_verdicts AS v (key, server_name, token_hash, expires_at, generation)
     VALUES ($1, $2, $3, $4, nextval('generations'))
     ON CONFLICT (key) DO UPDATE
       SET generation = nextval('generations'), expires_at = greatest(v.expires_at, excluded.expires_at)
     RETURNING generation`,
    [verdict.key, verdict.serverName, verdict.tokenHash, verdict.expiresAt],
  );
  return (rows[0] as { generation: number }).generation;
}

/**
 * Notes whose token it is, before the verdict is written to the bucket. False when the token or the user was revoked since
 * the verdict was noted: then it must not be written.
 */
export async function settleVerdict(db: Database, verdict: SettledVerdict): Promise<boolean> {
  const { key, generation, userId, deviceId, expiresAt } = verdict;
  return await db.transaction(async (tx) => {
    await lockUser(tx, userId);
    const settled = await tx.query(
      `UPDATE edge_verdicts SET user_id = $3, device_id = $4, expires_at = greatest(expires_at, $5)
       WHERE key = $1 AND generation >= $2 AND NOT EXISTS (
         SELECT FROM edge_revocations r
         WHERE r.user_id = $3 AND r.device_id IN ('', coalesce($4, '')) AND r.generation > $2
       )`,
      [key, generation, userId, deviceId ?? null, expiresAt],
    );
    return settled.rowCount === 1;
  });
}

/** Takes every verdict on this token, for tombstones to be written under the keys that are returned. */
export async function takeVerdictsByToken(tx: Queryable, tokenHash: string): Promise<string[]> {
  const { rows } = await tx.query<{ key: string }>("DELETE FROM edge_verdicts WHERE token_hash = $1 RETURNING key", [
    tokenHash,
  ]);
  return rows.map((row) => row.key);
}

/**
 * Takes every verdict on a token of this user (of one device, where it is given), for tombstones to be written under the keys
 * that are returned. Verdicts that are still under way come too late: {@link settleVerdict} will say so.
 */
export async function takeVerdictsByUser(
  tx: Queryable,
  userId: string,
  now: number,
  deviceId?: string,
): Promise<string[]> {
  await lockUser(tx, userId);
  await noteRevocation(tx, userId, deviceId ?? "", now);
  const { rows } = await tx.query<{ key: string }>(
    "DELETE FROM edge_verdicts WHERE user_id = $1 AND ($2::text IS NULL OR device_id = $2) RETURNING key",
    [userId, deviceId ?? null],
  );
  return rows.map((row) => row.key);
}

/** Takes every verdict of a homeserver that is not one of these, as {@link takeVerdictsByToken} does. */
export async function takeVerdictsOfOthers(tx: Queryable, serverNames: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ key: string }>(
    "DELETE FROM edge_verdicts WHERE server_name <> ALL ($1) RETURNING key",
    [serverNames],
  );
  return rows.map((row) => row.key);
}

/**
 * Forgets up to `limit` verdicts that expired before the time `before`, whose documents may be taken from the bucket, and
 * the revocations that are older than it.
 */
export async function expireVerdicts(
  db: Queryable,
  before: number,
  limit: number,
): Promise<{ key: string; generation: number }[]> {
  await db.query("DELETE FROM edge_revocations WHERE created_at < $1", [before]);
  const { rows } = await db.query<{ key: string; generation: number }>(
    `DELETE FROM edge_verdicts WHERE key IN (
       SELECT key FROM edge_verdicts WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
     ) RETURNING key, generation`,
    [before, limit],
  );
  return rows;
}

/** An empty device means all of them. */
async function noteRevocation(tx: Queryable, userId: string, deviceId: string, now: number): Promise<void> {
  await tx.query(
    `INSERT INTO edge_revocations (user_id, device_id, generation, created_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (user_id, device_id) DO UPDATE SET generation = excluded.generation, created_at = excluded.created_at`,
    [userId, deviceId, await nextGeneration(tx), now],
  );
}

/** One at a time for each user: else a verdict being settled and a revocation could each miss what the other writes. */
async function lockUser(tx: Queryable, userId: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [userId]);
}
