import type { Database, Queryable } from "../database.ts";
import { nextGeneration } from "./generations.ts";

/** A verdict that may come to lie in the edge bucket. Times in milliseconds. */
export interface NewVerdict {
  /** In the edge bucket. */
  readonly key: string;
  readonly serverName: string;
  /** Of the token; the token itself is stored nowhere. */
  readonly tokenHash: string;
  /** Under which it is given (`access/tokens/terms.ts`). */
  readonly terms: string;
  /** Until when it may be settled. */
  readonly expiresAt: number;
}

/** That a verdict was noted: {@link noteVerdict}. */
export interface VerdictNote {
  readonly key: string;
  /** Of the verdict, if one comes of it. */
  readonly generation: number;
  /** Of the row: what was taken and noted anew since is another one. */
  readonly incarnation: number;
}

/** What the homeserver said of what was noted. */
export interface SettledVerdict extends VerdictNote {
  readonly userId: string;
  readonly deviceId?: string | undefined;
  readonly terms: string;
  /** When it says nothing any more, at the latest. */
  readonly expiresAt: number;
}

/** A verdict that was taken, for a tombstone of this generation to be written under its key. */
export interface TakenVerdict {
  readonly key: string;
  readonly generation: number;
}

/**
 * What became of a verdict that was noted: it may be written; it may not, for the token, the user or the terms were revoked
 * since, or it was noted too long ago (`void`); or the note is taken back, for there are enough on this token (`surplus`), or a
 * logout that concerns it is not finished (`ending`).
 */
export type Settled = "settled" | "void" | "surplus" | "ending";

/** As many verdicts on one token of one user may lie in the bucket: for as many hosts and names of a device that it is asked with. */
const MAX_PER_TOKEN = 20;

/**
 * Notes a verdict that may be written, and draws its generation. To be done before the homeserver is asked: then a logout
 * either finds it here, or is known to the homeserver when it is asked. What nothing comes of is taken back
 * ({@link takeBackVerdict}).
 */
export async function noteVerdict(db: Queryable, verdict: NewVerdict): Promise<VerdictNote> {
  const { key, serverName, tokenHash, terms, expiresAt } = verdict;
  // One that was settled before keeps the terms of the document that may lie in the bucket.
  const { rows } = await db.query<VerdictNote>(
    `INSERT INTO edge_verdicts AS v (key, server_name, token_hash, terms, expires_at, generation)
     VALUES ($1, $2, $3, $4, $5, nextval('generations'))
     ON CONFLICT (key) DO UPDATE
       SET generation = nextval('generations'), expires_at = greatest(v.expires_at, excluded.expires_at)
     RETURNING key, generation, incarnation`,
    [key, serverName, tokenHash, terms, expiresAt],
  );
  return rows[0] as VerdictNote;
}

/** Takes a note back, unless it was settled or noted anew since. Whoever noted it too, and still settles it, hears that it is void. */
export async function takeBackVerdict(db: Queryable, { key, generation }: VerdictNote): Promise<void> {
  await db.query("DELETE FROM edge_verdicts WHERE key = $1 AND generation = $2 AND user_id IS NULL", [key, generation]);
}

/** Notes whose token it is, before the verdict is written to the bucket at the time `now`. Only what is "settled" may be written. */
export async function settleVerdict(db: Database, verdict: SettledVerdict, now: number): Promise<Settled> {
  const { key, generation, incarnation, userId, deviceId, terms, expiresAt } = verdict;
  return await db.transaction(async (tx) => {
    await lockUser(tx, userId);
    const noted = await tx.query<{ others: number; ending: boolean }>(
      `SELECT (
         SELECT count(*) FROM edge_verdicts o
         WHERE o.token_hash = v.token_hash AND o.user_id = $4 AND o.key <> v.key AND o.expires_at > $6
       ) AS others, EXISTS (
         SELECT FROM logouts l
         WHERE l.token_hash = v.token_hash OR l.user_id = $4 OR (l.of_server AND l.server_name = v.server_name)
       ) AS ending
       FROM edge_verdicts v
       WHERE key = $1 AND incarnation = $2 AND NOT EXISTS (
         SELECT FROM edge_revocations r
         WHERE r.user_id = $4 AND r.device_id IN ('', coalesce($5, '')) AND r.generation > $3
       )`,
      [key, incarnation, generation, userId, deviceId ?? null, now],
    );
    const found = noted.rows[0];
    if (found === undefined) return "void";
    if (found.ending || found.others >= MAX_PER_TOKEN) {
      await takeBackVerdict(tx, verdict);
      return found.ending ? "ending" : "surplus";
    }
    const settled = await tx.query(
      `UPDATE edge_verdicts
       SET user_id = $3, device_id = $4, terms = $5, expires_at = greatest(expires_at, $6)
       WHERE key = $1 AND incarnation = $2`,
      [key, incarnation, userId, deviceId ?? null, terms, expiresAt],
    );
    return settled.rowCount === 1 ? "settled" : "void";
  });
}

const TAKEN = "RETURNING key, nextval('generations') AS generation";

/** Takes every verdict on this token. */
export async function takeVerdictsByToken(tx: Queryable, tokenHash: string): Promise<TakenVerdict[]> {
  const { rows } = await tx.query<TakenVerdict>(`DELETE FROM edge_verdicts WHERE token_hash = $1 ${TAKEN}`, [
    tokenHash,
  ]);
  return rows;
}

/**
 * Takes every verdict on a token of this user (of one device, where it is given). Verdicts that are still under way come too
 * late: {@link settleVerdict} will say so.
 */
export async function takeVerdictsByUser(
  tx: Queryable,
  userId: string,
  now: number,
  deviceId?: string,
): Promise<TakenVerdict[]> {
  await lockUser(tx, userId);
  await noteRevocation(tx, userId, deviceId ?? "", now);
  const { rows } = await tx.query<TakenVerdict>(
    `DELETE FROM edge_verdicts WHERE user_id = $1 AND ($2::text IS NULL OR device_id = $2) ${TAKEN}`,
    [userId, deviceId ?? null],
  );
  return rows;
}

/** Takes every verdict on a token of this server, also those that are still under way. */
export async function takeVerdictsByServer(tx: Queryable, serverName: string): Promise<TakenVerdict[]> {
  const { rows } = await tx.query<TakenVerdict>(`DELETE FROM edge_verdicts WHERE server_name = $1 ${TAKEN}`, [
    serverName,
  ]);
  return rows;
}

/** Takes up to `limit` verdicts that were given under other terms than these, or of homeservers that are none of these. */
export async function takeVerdictsOfOtherTerms(
  tx: Queryable,
  inForce: readonly { readonly serverName: string; readonly terms: string }[],
  limit: number,
): Promise<TakenVerdict[]> {
  const { rows } = await tx.query<TakenVerdict>(
    `DELETE FROM edge_verdicts WHERE key IN (
       SELECT key FROM edge_verdicts
       WHERE (server_name, terms) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
       LIMIT $3
     ) ${TAKEN}`,
    [inForce.map(({ serverName }) => serverName), inForce.map(({ terms }) => terms), limit],
  );
  return rows;
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
