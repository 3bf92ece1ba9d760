import { MatrixError } from "../../../shared/matrix_error.ts";
import type { Mxc } from "../../../shared/mxc.ts";
import type { Queryable } from "../../stores/db/database.ts";
import { findMedia, type Media } from "../../stores/db/media.ts";
import type { FindDatastore, Subject } from "../domain.ts";
import type { AwaitPending, Patience } from "./await_pending.ts";
import type { Servable } from "./servable.ts";

/** Who asks for media, and how long they are willing to wait for it. */
export interface MediaAccess extends Patience {
  readonly subject: Subject;
}

/** What {@link makeFindVisible} needs. */
export interface FindVisibleParts {
  readonly db: Queryable;
  readonly awaitPending: AwaitPending["wait"];
  /** New media is seen only by those who authenticate. */
  readonly freezeNewMedia: () => boolean;
}

/** Finds the media that somebody may see: see {@link makeFindVisible}. */
export type FindVisible = (mxc: Mxc, access: MediaAccess) => Promise<Media>;

/**
 * The media that this subject may see, as soon as it is there.
 *
 * Errors: 404 `M_NOT_FOUND` for what does not exist, is quarantined, or asks for authentication that was not given; from
 * outside the three look the same. 504 `M_NOT_YET_UPLOADED` for what does not come in time.
 */
export function makeFindVisible({ db, awaitPending, freezeNewMedia }: FindVisibleParts): FindVisible {
  return async function findVisible(mxc, access) {
    const anonymous = access.subject.kind === "anonymous";
    const present = await findMedia(db, mxc);
    // Nobody waits for what they would not be shown.
    const media = present ?? (anonymous && freezeNewMedia() ? undefined : await awaitPending(mxc, access));
    if (!media || media.quarantinedAt !== undefined) throw notFound();
    if (media.frozen && anonymous) throw notFound();
    return media;
  };
}

/** The answer for media that does not exist, or must look as if it did not. */
export function notFound(): MatrixError {
  return new MatrixError("M_NOT_FOUND", "Media not found");
}

/** Media as it is served for a download, under `fileName` where the path gave one. */
export function servableMedia(media: Media, datastores: FindDatastore, fileName: string | undefined): Servable {
  const name = fileName ?? media.uploadName;
  return {
    media: {
      kind: "download",
      type: media.contentType,
      ...(name === undefined ? {} : { name }),
      size: media.blob.size,
      sha256: media.blob.sha256,
      created: media.createdAt,
    },
    open: (slice, signal) => openBlob(media.blob, datastores).open(media.blob.location, slice, signal),
  };
}

/** The datastore that holds a body. Throws when the configuration no longer has it, which is the operator's matter: 503. */
export function openBlob(blob: { datastoreId: string; sha256: string }, datastores: FindDatastore) {
  const datastore = datastores(blob.datastoreId);
  if (datastore) return datastore;
  throw new MatrixError("M_UNKNOWN", "Cannot read the media at the moment", {
    status: 503,
    cause: new Error(`the configuration has no datastore "${blob.datastoreId}", which holds ${blob.sha256}`),
  });
}
