import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Mxc } from "../../shared/matrix/mxc.ts";
import type { Quotas } from "../access/limits/quotas.ts";
import type { Subject } from "../access/subject.ts";
import type { Domain } from "../domains/domain.ts";
import type { Clock } from "../platform/clock.ts";
import type { MakeId } from "../platform/ids.ts";
import type { Database } from "../stores/db/database.ts";
import { claimBlob } from "../stores/db/tables/blobs.ts";
import { insertUnderNewId } from "../stores/db/tables/media.ts";
import { type FindVisible, type MediaAccess, notFound } from "./download/find_servable.ts";
import { drawMediaId } from "./upload/draw_media_id.ts";

/** What {@link makeLocalCopy} needs. */
export interface LocalCopyParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly makeMediaId: MakeId;
  readonly findVisible: FindVisible;
  readonly quotas: Quotas;
}

type User = Extract<Subject, { kind: "user" }>;

/** Copies media of another server to the user's own: see {@link makeLocalCopy}. */
export type LocalCopy = (mxc: Mxc, options: MediaAccess & { domain: Domain; subject: User }) => Promise<Mxc>;

/**
 * A media of another server as one of the user's own server (MMR's `local_copy`): a new id on the same body, charged to the
 * user who asks. What happens to the original later does not concern it.
 *
 * Errors: 400 for media of the same server; 403 when the user may store no more; those of {@link FindVisible}.
 */
export function makeLocalCopy(parts: LocalCopyParts): LocalCopy {
  return async function localCopy(mxc, { domain, ...access }) {
    if (mxc.serverName === domain.serverName) throw sameServer();
    const { blob, contentType, uploadName } = await parts.findVisible(mxc, access);
    const { userId } = access.subject;
    await parts.quotas.admitUpload(domain, userId, blob.size);
    return await parts.db.transaction(async (tx) => {
      if (!(await claimBlob(tx, blob.sha256))) throw notFound();
      const now = parts.clock();
      const { sha256 } = blob;
      const media = { sha256, contentType, uploadName, userId, createdAt: now, frozen: domain.freezeNewMedia };
      const copy = await drawMediaId(domain.serverName, parts.makeMediaId, (drawn) =>
        insertUnderNewId(tx, { ...drawn, ...media }),
      );
      await parts.quotas.requireWithin(tx, domain, userId);
      return copy;
    });
  };
}

function sameServer(): MatrixError {
  return new MatrixError("M_INVALID_PARAM", "Cannot copy media to the server that it is of");
}
