import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Clock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import { insertUnderNewId } from "../../stores/db/tables/media.ts";
import { drawMediaId } from "./draw_media_id.ts";
import { type Receive, type UploadRequest, uploadedMedia } from "./receive.ts";

/** What {@link makeUpload} needs. */
export interface UploadParts {
  readonly clock: Clock;
  readonly makeMediaId: MakeId;
  readonly receive: Receive;
}

/** Takes an upload in: see {@link makeUpload}. */
export type Upload = (request: UploadRequest) => Promise<Mxc>;

/**
 * An upload in one step (Client-Server API, `POST /_matrix/media/v3/upload`): receive the bytes, then, in one transaction,
 * the id and the media. What is answered is stored.
 */
export function makeUpload({ clock, makeMediaId, receive }: UploadParts): Upload {
  return async function upload(request) {
    return await receive(request, async (tx, received) => {
      const now = clock();
      const { serverName } = request.domain;
      return await drawMediaId(serverName, makeMediaId, (mxc) =>
        insertUnderNewId(tx, uploadedMedia(mxc, request, received, now)),
      );
    });
  };
}
