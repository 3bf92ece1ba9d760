import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { doomIfUnreferenced } from "../../stores/db/tables/blobs.ts";
import { findMedia, insertMedia } from "../../stores/db/tables/media.ts";
import { completePendingUpload, findPendingUpload } from "../../stores/db/tables/pending_uploads.ts";
import type { Ingested } from "./ingest.ts";
import { type Receive, type UploadRequest, uploadedMedia } from "./receive.ts";

/** What {@link makeCompleteUpload} needs. */
export interface CompleteUploadParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly receive: Receive;
  /** Tells all who wait for this media, in every process, when `tx` is committed. */
  readonly announce: (tx: Queryable, mxc: Mxc) => Promise<void>;
}

/** Fills an id that was reserved: see {@link makeCompleteUpload}. */
export type CompleteUpload = (mxc: Mxc, request: UploadRequest) => Promise<void>;

/**
 * Fills an id that its user reserved (Client-Server API, `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`). Of several
 * who fill it at once exactly one does. One that breaks off changes nothing: the id waits on. A body that began to arrive in
 * time may finish after the id has expired (MSC2246 leaves that to us).
 *
 * Errors: 404 `M_NOT_FOUND` for ids of other servers, unknown ones and expired ones; 403 `M_FORBIDDEN` for those of other
 * users; 409 `M_CANNOT_OVERWRITE_MEDIA` for what has its bytes already; those of every upload.
 */
export function makeCompleteUpload(parts: CompleteUploadParts): CompleteUpload {
  const { db, clock } = parts;

  return async function completeUpload(mxc, request) {
    const beganAt = clock();
    await requireFillable(mxc, request, beganAt);
    const filled = await parts.receive(request, (tx, received) => fill(tx, mxc, request, received, beganAt));
    // The id went while the body was arriving: filled by another, or cleared away.
    if (!filled) throw (await findMedia(db, mxc)) ? cannotOverwrite() : notFound();
  };

  async function requireFillable(mxc: Mxc, { domain, userId }: UploadRequest, now: number): Promise<void> {
    if (mxc.serverName !== domain.serverName) throw notFound();
    const pending = await findPendingUpload(db, mxc);
    if (!pending) {
      const media = await findMedia(db, mxc);
      if (!media) throw notFound();
      throw media.userId === userId ? cannotOverwrite() : forbidden();
    }
    if (pending.expiresAt <= now) throw notFound();
    if (pending.userId !== userId) throw forbidden();
  }

  async function fill(
    tx: Queryable,
    mxc: Mxc,
    request: UploadRequest,
    received: Ingested,
    beganAt: number,
  ): Promise<boolean> {
    const now = clock();
    // Whoever takes the reservation away is the one who fills it; for another the body it has just stored is one too many.
    if (!(await completePendingUpload(tx, mxc, beganAt))) {
      await doomIfUnreferenced(tx, [received.sha256], now);
      return false;
    }
    await insertMedia(tx, uploadedMedia(mxc, request, received, now));
    await parts.announce(tx, mxc);
    return true;
  }
}

function notFound(): MatrixError {
  return new MatrixError("M_NOT_FOUND", "Cannot upload to this media id: it was not reserved, or has expired");
}

function forbidden(): MatrixError {
  return new MatrixError("M_FORBIDDEN", "Cannot upload to this media id: another user reserved it");
}

function cannotOverwrite(): MatrixError {
  return new MatrixError("M_CANNOT_OVERWRITE_MEDIA", "Cannot upload to this media id: it has its content already");
}
