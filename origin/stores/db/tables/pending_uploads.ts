import type { Mxc } from "../../../../shared/matrix/mxc.ts";
import type { Queryable } from "../database.ts";

/** An id that waits for its bytes (`POST /_matrix/media/v1/create`). Times in milliseconds. */
export interface PendingUpload extends Mxc {
  readonly userId: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

interface PendingUploadRow {
  server_name: string;
  media_id: string;
  user_id: string;
  created_at: number;
  expires_at: number;
}

/** Lets an id wait for its bytes. It must have been reserved before. */
export async function insertPendingUpload(tx: Queryable, pending: PendingUpload): Promise<void> {
  const { serverName, mediaId, userId, createdAt, expiresAt } = pending;
  await tx.query(
    `INSERT INTO pending_uploads (server_name, media_id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
    [serverName, mediaId, userId, createdAt, expiresAt],
  );
}

/** The pending upload of this id, expired or not; `undefined` once it is complete or cleared away. */
export async function findPendingUpload(
  db: Queryable,
  { serverName, mediaId }: Mxc,
): Promise<PendingUpload | undefined> {
  const { rows } = await db.query<PendingUploadRow>(
    "SELECT * FROM pending_uploads WHERE server_name = $1 AND media_id = $2",
    [serverName, mediaId],
  );
  return rows[0] && fromRow(rows[0]);
}

/** How many ids of this user wait and have not expired, and when the first of them will have. */
export async function countPendingUploads(
  db: Queryable,
  userId: string,
  now: number,
): Promise<{ count: number; firstExpiresAt: number | undefined }> {
  const { rows } = await db.query<{ count: number; first: number | null }>(
    "SELECT count(*) AS count, min(expires_at) AS first FROM pending_uploads WHERE user_id = $1 AND expires_at > $2",
    [userId, now],
  );
  return { count: rows[0]?.count ?? 0, firstExpiresAt: rows[0]?.first ?? undefined };
}

/**
 * Takes the one turn to complete this upload, in the transaction that records its media. `undefined`: there is none, it
 * has expired, or another upload was faster.
 */
export async function completePendingUpload(
  tx: Queryable,
  { serverName, mediaId }: Mxc,
  now: number,
): Promise<PendingUpload | undefined> {
  const { rows } = await tx.query<PendingUploadRow>(
    "DELETE FROM pending_uploads WHERE server_name = $1 AND media_id = $2 AND expires_at > $3 RETURNING *",
    [serverName, mediaId, now],
  );
  return rows[0] && fromRow(rows[0]);
}

/** Clears away what expired before the time `before`. Returns how many. */
export async function expirePendingUploads(db: Queryable, before: number): Promise<number> {
  const { rowCount } = await db.query("DELETE FROM pending_uploads WHERE expires_at < $1", [before]);
  return rowCount;
}

function fromRow(row: PendingUploadRow): PendingUpload {
  return {
    serverName: row.server_name,
    mediaId: row.media_id,
    userId: row.user_id,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}
