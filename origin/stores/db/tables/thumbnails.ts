import type { Mxc } from "../../../../shared/matrix/mxc.ts";
import type { ThumbnailSpec } from "../../../../shared/matrix/thumbnail_size.ts";
import type { Queryable } from "../database.ts";
import { type Blob, doomIfUnreferenced, type JoinedBlobRow, joinedBlob, lockBlobs, markBlobLost } from "./blobs.ts";

/** A thumbnail that was made of a media. Times in milliseconds. */
export interface Thumbnail extends Mxc {
  /** Its key among those of its media: `thumbnailSuffix` of what was asked for. */
  readonly suffix: string;
  readonly contentType: string;
  readonly createdAt: number;
  readonly generation: number;
  readonly blob: Omit<Blob, "createdAt">;
}

/** A thumbnail to be recorded: for which specification it was made, and what came of it. */
export interface NewThumbnail extends Mxc, ThumbnailSpec {
  readonly suffix: string;
  readonly sha256: string;
  readonly contentType: string;
  readonly createdAt: number;
}

interface ThumbnailRow extends JoinedBlobRow {
  server_name: string;
  media_id: string;
  suffix: string;
  content_type: string;
  created_at: number;
  generation: number;
}

const SELECT_THUMBNAIL = `
  SELECT t.server_name, t.media_id, t.suffix, t.content_type, t.created_at, t.generation,
    b.sha256, b.size, b.datastore_id, b.location, b.generation AS blob_generation
  FROM thumbnails t JOIN blobs b ON b.sha256 = t.sha256`;

/** The thumbnail of a media under this suffix, with everything that serving it needs. */
export async function findThumbnail(db: Queryable, mxc: Mxc, suffix: string): Promise<Thumbnail | undefined> {
  const { rows } = await db.query<ThumbnailRow>(
    `${SELECT_THUMBNAIL} WHERE t.server_name = $1 AND t.media_id = $2 AND t.suffix = $3`,
    [mxc.serverName, mxc.mediaId, suffix],
  );
  return rows[0] && fromRow(rows[0]);
}

/** The thumbnails that were made of a media: the box each was made for (pixels), its type and its size (bytes). */
export async function listThumbnails(
  db: Queryable,
  { serverName, mediaId }: Mxc,
): Promise<{ width: number; height: number; contentType: string; size: number }[]> {
  const { rows } = await db.query<{ width: number; height: number; content_type: string; size: number }>(
    `SELECT t.width, t.height, t.content_type, b.size FROM thumbnails t JOIN blobs b ON b.sha256 = t.sha256
     WHERE t.server_name = $1 AND t.media_id = $2 ORDER BY t.width, t.height, t.suffix`,
    [serverName, mediaId],
  );
  return rows.map(({ content_type, ...row }) => ({ ...row, contentType: content_type }));
}

/**
 * Records a thumbnail whose body was claimed in `tx`, and draws its generation. Where another was faster, that one stays
 * and is returned. `undefined`: its media is gone.
 */
export async function insertThumbnail(tx: Queryable, made: NewThumbnail): Promise<Thumbnail | undefined> {
  const media = await tx.query("SELECT FROM media WHERE server_name = $1 AND media_id = $2 FOR KEY SHARE", [
    made.serverName,
    made.mediaId,
  ]);
  if (media.rowCount === 0) return undefined;
  // Inserted first, drawn second, as for media: the row must be held when its generation is drawn.
  const inserted = await tx.query(
    `INSERT INTO thumbnails (server_name, media_id, suffix, width, height, method, animated, format, sha256,
       content_type, created_at, generation)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0) ON CONFLICT DO NOTHING`,
    [
      made.serverName,
      made.mediaId,
      made.suffix,
      made.width,
      made.height,
      made.method,
      made.animated,
      made.format,
      made.sha256,
      made.contentType,
      made.createdAt,
    ],
  );
  if (inserted.rowCount === 1) await drawGeneration(tx, made);
  else await doomIfUnreferenced(tx, [made.sha256], made.createdAt);
  return await findThumbnail(tx, made, made.suffix);
}

/** A thumbnail that was deleted: its document at the edge is to be replaced by a tombstone of this generation. */
export interface DeletedThumbnail extends Mxc {
  readonly suffix: string;
  readonly generation: number;
}

/**
 * Forgets a thumbnail whose object turned out to be lost, so that it is made again. Returns what the edge must be told, lest a
 * deletion of the media miss it there; `undefined`, with nothing done, where it was made anew since or has its object again.
 */
export async function forgetThumbnail(
  tx: Queryable,
  lost: Pick<Thumbnail, "serverName" | "mediaId" | "suffix" | "generation" | "blob">,
  now: number,
): Promise<DeletedThumbnail | undefined> {
  const { serverName, mediaId, suffix, blob } = lost;
  await lockBlobs(tx, [blob.sha256]);
  const { rows } = await tx.query<{ generation: number }>(
    `DELETE FROM thumbnails WHERE server_name = $1 AND media_id = $2 AND suffix = $3 AND generation = $4
     RETURNING nextval('generations') AS generation`,
    [serverName, mediaId, suffix, lost.generation],
  );
  if (!rows[0]) return undefined;
  await markBlobLost(tx, blob, now);
  await doomIfUnreferenced(tx, [blob.sha256], now);
  return { serverName, mediaId, suffix, generation: rows[0].generation };
}

/**
 * Deletes up to `limit` thumbnails made before the time `before`, the oldest first, and dooms the bodies that nothing else
 * points at. `more`: there may be others. Holds their bodies, however many share one, for no longer than a page takes.
 */
export async function deleteOldThumbnails(
  tx: Queryable,
  before: number,
  now: number,
  limit: number,
): Promise<{ readonly deleted: DeletedThumbnail[]; readonly more: boolean }> {
  const { rows: old } = await tx.query<Pick<ThumbnailRow, "server_name" | "media_id" | "suffix" | "sha256">>(
    `SELECT server_name, media_id, suffix, sha256 FROM thumbnails
     WHERE created_at < $1 ORDER BY created_at LIMIT $2`,
    [before, limit],
  );
  const hashes = [...new Set(old.map((row) => row.sha256))];
  // Bodies are locked before what points at them, as everywhere (see blobs.ts).
  await lockBlobs(tx, hashes);
  const { rows } = await tx.query<Pick<ThumbnailRow, "server_name" | "media_id" | "suffix" | "generation">>(
    // Made anew since it was found, a thumbnail is not old any more.
    `DELETE FROM thumbnails t USING unnest($2::text[], $3::text[], $4::text[]) AS old (server_name, media_id, suffix)
     WHERE t.server_name = old.server_name AND t.media_id = old.media_id AND t.suffix = old.suffix AND t.created_at < $1
     RETURNING t.server_name, t.media_id, t.suffix, nextval('generations') AS generation`,
    [before, old.map((row) => row.server_name), old.map((row) => row.media_id), old.map((row) => row.suffix)],
  );
  await doomIfUnreferenced(tx, hashes, now);
  const deleted = rows.map((row) => ({
    serverName: row.server_name,
    mediaId: row.media_id,
    suffix: row.suffix,
    generation: row.generation,
  }));
  return { deleted, more: old.length === limit };
}

async function drawGeneration(tx: Queryable, { serverName, mediaId, suffix }: NewThumbnail): Promise<void> {
  await tx.query(
    `UPDATE thumbnails SET generation = nextval('generations')
     WHERE server_name = $1 AND media_id = $2 AND suffix = $3`,
    [serverName, mediaId, suffix],
  );
}

function fromRow(row: ThumbnailRow): Thumbnail {
  return {
    serverName: row.server_name,
    mediaId: row.media_id,
    suffix: row.suffix,
    contentType: row.content_type,
    createdAt: row.created_at,
    generation: row.generation,
    blob: joinedBlob(row),
  };
}
