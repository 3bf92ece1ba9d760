import type { Queryable } from "../database.ts";

/** What a logout ends: the session of the token, and all sessions of the users, or of everybody on the server. */
export interface LogoutScope {
  readonly serverName: string;
  /** Of the token that asked; the token itself is stored nowhere. */
  readonly tokenHash: string;
  readonly userIds: readonly string[];
  readonly ofServer: boolean;
}

/** A logout that was begun and is not finished: of one user, of the whole server, or of the token alone. */
export interface Logout {
  readonly id: number;
  readonly serverName: string;
  readonly tokenHash: string;
  readonly userId: string | null;
  readonly ofServer: boolean;
}

const COLUMNS = `id, server_name AS "serverName", token_hash AS "tokenHash", user_id AS "userId", of_server AS "ofServer"`;

/** Notes a logout that is about to begin, one row for each user; returns their ids. If nobody finishes it, a job does at the time `dueAt` (milliseconds). */
export async function noteLogout(tx: Queryable, scope: LogoutScope, dueAt: number): Promise<readonly number[]> {
  const { serverName, tokenHash, userIds, ofServer } = scope;
  const { rows } = await tx.query<{ id: number }>(
    `INSERT INTO logouts (server_name, token_hash, user_id, of_server, due_at)
     SELECT $1, $2, user_id, $4, $5 FROM unnest($3::text[]) AS ended (user_id) RETURNING id`,
    [serverName, tokenHash, userIds.length === 0 ? [null] : userIds, ofServer, dueAt],
  );
  return rows.map(({ id }) => id);
}

/** The unfinished logouts that this token has asked for. */
export async function logoutsOfToken(db: Queryable, tokenHash: string): Promise<Logout[]> {
  const { rows } = await db.query<Logout>(`SELECT ${COLUMNS} FROM logouts WHERE token_hash = $1`, [tokenHash]);
  return rows;
}

/** Every unfinished logout, the oldest first. */
export async function unfinishedLogouts(db: Queryable, limit: number): Promise<Logout[]> {
  const { rows } = await db.query<Logout>(`SELECT ${COLUMNS} FROM logouts ORDER BY id LIMIT $1`, [limit]);
  return rows;
}

/**
 * Up to `limit` logouts that nobody has finished by the time `now`. None is due later than `latest`, but for what was noted before the
 * time of day was set back: that is due now.
 */
export async function dueLogouts(db: Queryable, now: number, limit: number, latest: number): Promise<Logout[]> {
  const { rows } = await db.query<Logout>(
    `SELECT ${COLUMNS} FROM logouts WHERE due_at <= $1 OR due_at > $3 ORDER BY due_at, id LIMIT $2`,
    [now, limit, latest],
  );
  return rows;
}

/** Lets a logout that could not be finished wait until the time `dueAt`. */
export async function postponeLogout(db: Queryable, id: number, dueAt: number): Promise<void> {
  await db.query("UPDATE logouts SET due_at = $2 WHERE id = $1", [id, dueAt]);
}

/** Takes logouts from the list. */
export async function forgetLogouts(db: Queryable, ids: readonly number[]): Promise<void> {
  await db.query("DELETE FROM logouts WHERE id = ANY ($1::bigint[])", [ids]);
}

/** Whose token it is, as far as a verdict or an unfinished logout says so. Several only for that of an application service. */
export async function usersOfToken(db: Queryable, serverName: string, tokenHash: string): Promise<string[]> {
  const { rows } = await db.query<{ userId: string }>(
    `SELECT user_id AS "userId" FROM edge_verdicts
     WHERE token_hash = $2 AND server_name = $1 AND user_id IS NOT NULL
     UNION
     SELECT user_id FROM logouts WHERE token_hash = $2 AND server_name = $1 AND user_id IS NOT NULL
     ORDER BY 1`,
    [serverName, tokenHash],
  );
  return rows.map(({ userId }) => userId);
}
