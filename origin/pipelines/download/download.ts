import type { Mxc } from "../../../shared/mxc.ts";
import type { FindDatastore } from "../domain.ts";
import type { Publish } from "../publish/publish.ts";
import type { AccessLog } from "./access_log.ts";
import { type FindVisible, type MediaAccess, servableMedia } from "./find_servable.ts";
import type { Served } from "./servable.ts";

/** What {@link makeDownload} needs. `publish` is absent where there is no edge. */
export interface DownloadParts {
  readonly findVisible: FindVisible;
  readonly datastores: FindDatastore;
  readonly publish: Publish | undefined;
  readonly accessLog: Pick<AccessLog, "note">;
}

/** Finds what a download answers: see {@link makeDownload}. */
export type Download = (mxc: Mxc, options: MediaAccess & { fileName: string | undefined }) => Promise<Served>;

/**
 * A download (Client-Server API, `GET …/download`): the media that this subject may see, under the name of the path where
 * it gives one.
 *
 * Errors: those of {@link FindVisible}.
 */
export function makeDownload({ findVisible, datastores, publish, accessLog }: DownloadParts): Download {
  return async function download(mxc, { fileName, ...access }) {
    const media = await findVisible(mxc, access);
    accessLog.note(media);
    return {
      servable: servableMedia(media, datastores, fileName),
      publish: publish && (() => publish.media(media)),
    };
  };
}
