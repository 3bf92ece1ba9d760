import type { Mxc } from "../../../../shared/matrix/mxc.ts";
import type { Queryable } from "../database.ts";
import { type Blob, doomIfUnreferenced, type JoinedBlobRow, joinedBlob, lockBlobs, markBlobLost } from "./blobs.ts";
import { nextGeneration } from "./generations.ts";

/** How long a media is kept: as the rules say, or for ever (MMR's media attributes). */
export type MediaPurpose = "none" | "pinned";

/** A media as the database knows it, with the body it points at. Times in milliseconds. */
export interface Media extends Mxc {
  readonly contentType: string;
  readonly uploadName: string | undefined;
  /** Who uploaded it; undefined for media of other servers. */
  readonly userId: string | undefined;
  readonly createdAt: number;
  /** Of this state of the row: what the edge is told is told with it. */
  readonly generation: number;
  readonly quarantinedAt: number | undefined;
  /** To be seen only by those who authenticate. */
  readonly frozen: boolean;
  readonly purpose: MediaPurpose;
  readonly blob: Omit<Blob, "createdAt">;
}

/** A media to be recorded. */
export interface NewMedia extends Mxc {
  readonly sha256: string;
  readonly contentType: string;
  readonly uploadName: string | undefined;
  readonly userId: string | undefined;
  readonly createdAt: number;
  readonly frozen: boolean;
}

/** What went with a media that was deleted. */
export interface DeletedMedia {
  /** Drawn while the row was held: what the edge is told of the deletion is told with it. */
  readonly generation: number;
  readonly sha256: string;
  readonly userId: string | undefined;
  /** Suffixes of its thumbnails, which had documents of their own at the edge. */
  readonly thumbnails: readonly string[];
}

interface MediaRow extends JoinedBlobRow {
  server_name: string;
  media_id: string;
  content_type: string;
  upload_name: string | null;
  user_id: string | null;
  created_at: number;
  generation: number;
  quarantined_at: number | null;
  frozen: boolean;
  purpose: MediaPurpose;
}

const DAY_MS = 86_400_000;

const SELECT_MEDIA = `
  SELECT m.server_name, m.media_id, m.content_type, m.upload_name, m.user_id, m.created_at, m.generation,
    m.quarantined_at, m.frozen, m.purpose,
    b.sha256, b.size, b.datastore_id, b.location, b.generation AS blob_generation
  FROM media m JOIN blobs b ON b.sha256 = m.sha256`;

/** The media under this name, with everything that a download needs. */
export async function findMedia(db: Queryable, { serverName, mediaId }: Mxc): Promise<Media | undefined> {
  const { rows } = await db.query<MediaRow>(`${SELECT_MEDIA} WHERE m.server_name = $1 AND m.media_id = $2`, [
    serverName,
    mediaId,
  ]);
  return rows[0] && fromRow(rows[0]);
}

/**
 * Records a media whose body was claimed in `tx`, and draws its generation. `undefined`: there is a media of this name.
 * Ids of our own must have been reserved before.
 */
export async function insertMedia(tx: Queryable, media: NewMedia): Promise<Media | undefined> {
  const { serverName, mediaId, sha256, contentType, uploadName, userId, createdAt, frozen } = media;
  // Inserted first, drawn second: an insert waits for a deletion of the same name, whose generation must be the smaller.
  const { rowCount } = await tx.query(
    `INSERT INTO media (server_name, media_id, sha256, content_type, upload_name, user_id, created_at, frozen,
       last_access_day, generation)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) ON CONFLICT DO NOTHING`,
    [serverName, mediaId, sha256, contentType, uploadName, userId, createdAt, frozen, Math.floor(createdAt / DAY_MS)],
  );
  if (rowCount === 0) return undefined;
  await tx.query("UPDATE media SET generation = nextval('generations') WHERE server_name = $1 AND media_id = $2", [
    serverName,
    mediaId,
  ]);
  return await findMedia(tx, media);
}

/**
 * Gives out an id and records the media under it, whose body was claimed in `tx`. False when the id was ever given out before:
 * draw another. Nobody can have deleted a media of this name, so that its generation may be drawn with the row.
 */
export async function insertUnderNewId(tx: Queryable, media: NewMedia): Promise<boolean> {
  const { serverName, mediaId, sha256, contentType, uploadName, userId, createdAt, frozen } = media;
  const { rowCount } = await tx.query(
    `WITH reserved AS (
       INSERT INTO media_ids_used (server_name, media_id, created_at) VALUES ($1, $2, $7)
       ON CONFLICT DO NOTHING RETURNING server_name, media_id)
     INSERT INTO media (server_name, media_id, sha256, content_type, upload_name, user_id, created_at, frozen,
       last_access_day, generation)
     SELECT server_name, media_id, $3, $4, $5, $6, $7, $8, $9, nextval('generations') FROM reserved`,
    [serverName, mediaId, sha256, contentType, uploadName, userId, createdAt, frozen, Math.floor(createdAt / DAY_MS)],
  );
  return rowCount === 1;
}

/**
 * Deletes a media with its thumbnails, and dooms the bodies that nothing else points at. Returns what the edge must be
 * told, or `undefined` when there is no such media.
 */
export async function deleteMedia(tx: Queryable, mxc: Mxc, now: number): Promise<DeletedMedia | undefined> {
  const name = [mxc.serverName, mxc.mediaId];
  return await deleteHeld(tx, name, await holdWithBodies(tx, name), now);
}

/**
 * Forgets a media of another server whose object turned out to be lost, with its thumbnails, so that it is fetched again like
 * any that was never here. Returns what the edge must be told; `undefined`, with nothing done, where it has an object again, is
 * gone, is our own, or is quarantined, which must not be forgotten.
 */
export async function forgetRemoteMedia(
  tx: Queryable,
  lost: Pick<Media, "serverName" | "mediaId" | "blob">,
  now: number,
): Promise<DeletedMedia | undefined> {
  const name = [lost.serverName, lost.mediaId];
  const bodies = await holdWithBodies(tx, name);
  const media = await findMedia(tx, lost);
  if (!media || media.userId !== undefined || media.quarantinedAt !== undefined) return undefined;
  if (media.blob.generation !== lost.blob.generation) return undefined;
  await markBlobLost(tx, lost.blob, now);
  return await deleteHeld(tx, name, bodies, now);
}

async function deleteHeld(
  tx: Queryable,
  name: readonly string[],
  bodies: readonly string[],
  now: number,
): Promise<DeletedMedia | undefined> {
  const { rows } = await tx.query<{ sha256: string; user_id: string | null; suffixes: string[] }>(
    `SELECT sha256, user_id, ARRAY (
       SELECT suffix FROM thumbnails t WHERE t.server_name = m.server_name AND t.media_id = m.media_id ORDER BY suffix
     ) AS suffixes FROM media m WHERE server_name = $1 AND media_id = $2`,
    name,
  );
  const media = rows[0];
  if (!media) return undefined;
  const generation = await nextGeneration(tx);
  await tx.query("DELETE FROM media WHERE server_name = $1 AND media_id = $2", name);
  await doomIfUnreferenced(tx, bodies, now);
  return { generation, sha256: media.sha256, userId: media.user_id ?? undefined, thumbnails: media.suffixes };
}

/** Quarantines a media since the time `at`, or lets it out with `undefined`. Returns it as it is now. */
export async function setQuarantined(tx: Queryable, mxc: Mxc, at: number | undefined): Promise<Media | undefined> {
  return await change(tx, mxc, "quarantined_at", at ?? null);
}

/** Says whether a media may be seen only by those who authenticate. Returns it as it is now. */
export async function setFrozen(tx: Queryable, mxc: Mxc, frozen: boolean): Promise<Media | undefined> {
  return await change(tx, mxc, "frozen", frozen);
}

/** Says how long a media is kept. Returns it as it is now. */
export async function setPurpose(tx: Queryable, mxc: Mxc, purpose: MediaPurpose): Promise<Media | undefined> {
  return await change(tx, mxc, "purpose", purpose);
}

/**
 * Locks a media and every body that it and its thumbnails point at; the bodies first, as everywhere (see blobs.ts). A
 * thumbnail may be recorded while the locks are waited for: then they are let go and taken anew, because locking its body
 * out of order would invite deadlocks. Once the media is held none can be added. Returns the bodies.
 */
async function holdWithBodies(tx: Queryable, name: readonly string[]): Promise<string[]> {
  for (let wanted = await bodiesOf(tx, name); ; ) {
    await tx.query("SAVEPOINT unlocked");
    await lockBlobs(tx, wanted);
    await tx.query("SELECT FROM media WHERE server_name = $1 AND media_id = $2 FOR UPDATE", name);
    const present = await bodiesOf(tx, name);
    if (present.every((sha256) => wanted.includes(sha256))) return present;
    await tx.query("ROLLBACK TO unlocked");
    wanted = present;
  }
}

/** A media and its thumbnails point at these bodies. */
async function bodiesOf(tx: Queryable, name: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ sha256: string }>(
    `SELECT sha256 FROM media WHERE server_name = $1 AND media_id = $2
     UNION SELECT sha256 FROM thumbnails WHERE server_name = $1 AND media_id = $2`,
    name,
  );
  return rows.map((row) => row.sha256);
}

type Changeable = "quarantined_at" | "frozen" | "purpose";

/** Changes one column and draws a generation, after the row is held. */
async function change(tx: Queryable, mxc: Mxc, column: Changeable, value: unknown): Promise<Media | undefined> {
  const name = [mxc.serverName, mxc.mediaId];
  await tx.query("SELECT FROM media WHERE server_name = $1 AND media_id = $2 FOR NO KEY UPDATE", name);
  await tx.query(
    `UPDATE media SET ${column} = $3, generation = nextval('generations') WHERE server_name = $1 AND media_id = $2`,
    [...name, value],
  );
  return await findMedia(tx, mxc);
}

function fromRow(row: MediaRow): Media {
  return {
    serverName: row.server_name,
    mediaId: row.media_id,
    contentType: row.content_type,
    uploadName: row.upload_name ?? undefined,
    userId: row.user_id ?? undefined,
    createdAt: row.created_at,
    generation: row.generation,
    quarantinedAt: row.quarantined_at ?? undefined,
    frozen: row.frozen,
    purpose: row.purpose,
    blob: joinedBlob(row),
  };
}
