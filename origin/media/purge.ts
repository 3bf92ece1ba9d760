import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Mxc } from "../../shared/matrix/mxc.ts";
import { descriptorKey, thumbnailKeyOf } from "../../shared/tiers/object_key.ts";
import type { Subject } from "../access/subject.ts";
import type { Clock } from "../platform/clock.ts";
import { enqueueTombstones } from "../publish/tombstones.ts";
import type { Database, Queryable } from "../stores/db/database.ts";
import { type DeletedMedia, deleteMedia, findMedia, type Media } from "../stores/db/tables/media.ts";

/** What {@link makePurge} needs. `deliver` brings one change to the edge and throws when the store did not confirm it. */
export interface PurgeParts {
  readonly db: Database;
  readonly clock: Clock;
  /** Forgets what this process has read of a media, and tells the others to. */
  readonly forget: (mxc: Mxc) => Promise<void>;
  readonly edge: { readonly deliver: (keys: readonly string[]) => Promise<void> } | undefined;
}

/** Deletes one media: see {@link makePurge}. `isServerAdmin` is asked only where nothing else allows it. */
export type Purge = (mxc: Mxc, subject: Subject, isServerAdmin: () => Promise<boolean>) => Promise<void>;

/**
 * Deletes one media for its uploader or an administrator. It is gone for everybody, at both tiers, when this resolves: the
 * row and its thumbnails go in one transaction that also notes the tombstone for the edge, and the edge's store has
 * confirmed the tombstone. The body goes later, when nothing points at it and the grace time is over.
 *
 * What does not exist is deleted already. Errors: 403 `M_FORBIDDEN` for others.
 */
export function makePurge(parts: PurgeParts): Purge {
  return async function purge(mxc, subject, isServerAdmin) {
    const media = await findMedia(parts.db, mxc);
    if (media && !(await mayDelete(media, subject, isServerAdmin))) throw forbidden();
    const keys = media ? await parts.db.transaction((tx) => erase(tx, media)) : [];
    await parts.forget(mxc);
    // Also where it was gone already: an earlier deletion may not have reached the edge yet.
    await parts.edge?.deliver([descriptorKey(mxc), ...keys]);
  };

  /** Returns the keys of the thumbnails that went along. */
  async function erase(tx: Queryable, { serverName, mediaId }: Media): Promise<string[]> {
    const at = parts.clock();
    const deleted = await deleteMedia(tx, { serverName, mediaId }, at);
    return deleted && parts.edge ? await enqueueErasure(tx, { serverName, mediaId }, deleted, at) : [];
  }
}

/**
 * Notes the tombstones of a media and its thumbnails that were deleted in this transaction, at the time `at` (milliseconds). Returns
 * the keys of the thumbnails.
 */
export async function enqueueErasure(
  tx: Queryable,
  { serverName, mediaId }: Mxc,
  { generation, thumbnails, userId }: DeletedMedia,
  at: number,
): Promise<string[]> {
  const mxc = { serverName, mediaId };
  const keys = thumbnails.map((suffix) => thumbnailKeyOf(mxc, suffix));
  const erased = [descriptorKey(mxc), ...keys].map((key) => ({ key, generation }));
  // What nobody here has uploaded can be fetched again.
  await enqueueTombstones(tx, erased, { at, again: userId === undefined });
  return keys;
}

async function mayDelete(media: Media, subject: Subject, isServerAdmin: () => Promise<boolean>): Promise<boolean> {
  if (subject.kind === "anonymous") return false;
  if (subject.isRepositoryAdmin) return true;
  if (media.userId !== undefined && media.userId === subject.userId) return true;
  return await isServerAdmin();
}

function forbidden(): MatrixError {
  return new MatrixError("M_FORBIDDEN", "Only its uploader or an administrator may delete this media");
}
