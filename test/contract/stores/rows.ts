import { createHash } from "node:crypto";
import type { Database } from "../../../origin/stores/db/database.ts";
import { type Blob, claimBlob, insertBlob } from "../../../origin/stores/db/tables/blobs.ts";
import { nextGeneration } from "../../../origin/stores/db/tables/generations.ts";
import { insertMedia, type Media, type NewMedia } from "../../../origin/stores/db/tables/media.ts";
import { insertThumbnail, type Thumbnail } from "../../../origin/stores/db/tables/thumbnails.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";

/** When everything in these tests was made, unless they say otherwise. */
export const NOW = 1_800_000_000_000;

/** The SHA-256 of a text, in hex. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A media's name here. */
export function mxc(mediaId: string): Mxc {
  return { serverName: "example.org", mediaId };
}

/** A body named after a text, as an upload would record it once its object is stored: its intent is there. */
export async function newBlob(db: Database, text: string): Promise<Blob> {
  const generation = await nextGeneration(db);
  const location = `${sha256(text)}-${generation}`;
  await db.query("INSERT INTO intents (datastore_id, location, created_at) VALUES ('disk', $1, $2)", [location, NOW]);
  return { sha256: sha256(text), size: text.length, datastoreId: "disk", location, generation, createdAt: NOW };
}

/** Stores a media whose body is `text`, in the way an upload does: claim the body, or store and record it. */
export async function storeMedia(db: Database, id: Mxc, text: string, more: Partial<NewMedia> = {}): Promise<Media> {
  const fields = { contentType: "text/plain", uploadName: undefined, userId: "@user:example.org", frozen: true };
  const media = { ...id, ...fields, sha256: sha256(text), createdAt: NOW, ...more };
  const known = await db.transaction(async (tx) =>
    (await claimBlob(tx, media.sha256)) ? await insertMedia(tx, media) : undefined,
  );
  if (known) return known;
  const blob = await newBlob(db, text);
  return await db.transaction(async (tx) => {
    await insertBlob(tx, blob);
    return (await insertMedia(tx, media)) as Media;
  });
}

/** Stores a thumbnail of a media whose body is `text`. */
export async function storeThumbnail(db: Database, id: Mxc, text: string): Promise<Thumbnail | undefined> {
  const blob = await newBlob(db, text);
  return await db.transaction(async (tx) => {
    await insertBlob(tx, blob);
    return await insertThumbnail(tx, {
      ...id,
      suffix: "32x32-crop",
      width: 32,
      height: 32,
      method: "crop",
      animated: false,
      format: "auto",
      sha256: blob.sha256,
      contentType: "image/png",
      createdAt: NOW,
    });
  });
}

/** When a body was doomed: a time, null when it was not, undefined when there is no such body. */
export async function doomedAt(db: Database, text: string): Promise<number | null | undefined> {
  const { rows } = await db.query<{ doomed_at: number | null }>("SELECT doomed_at FROM blobs WHERE sha256 = $1", [
    sha256(text),
  ]);
  return rows[0]?.doomed_at;
}
