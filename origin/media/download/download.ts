import type { Mxc } from "../../../shared/matrix/mxc.ts";
import { sleep } from "../../platform/time.ts";
import type { Publish } from "../../publish/publish.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { FindDatastore } from "../../stores/objects/datastore.ts";
import type { Arrival } from "../remote/pull_remote.ts";
import type { AccessLog } from "./access_log.ts";
import { type FindArriving, type FindVisible, isArrival, type MediaAccess, servableMedia } from "./find_servable.ts";
import type { LostMedia } from "./lost_media.ts";
import type { Arriving, Served } from "./servable.ts";

/** What {@link makeDownload} needs. `publish` is absent where there is no edge. */
export interface DownloadParts {
  readonly findVisible: FindVisible;
  readonly findArriving: FindArriving;
  readonly datastores: FindDatastore;
  readonly lostMedia: Pick<LostMedia, "forget">;
  readonly publish: Publish | undefined;
  readonly accessLog: Pick<AccessLog, "note">;
}

/** Who wants the media, and under which name, where the path gives one. */
export type DownloadOptions = MediaAccess & { readonly fileName: string | undefined };

/** Finds what a download answers: see {@link makeDownload}. */
export interface Download {
  /** The media, once all of it is here. */
  whole(mxc: Mxc, options: DownloadOptions): Promise<Served>;
  /**
   * The media, or as much as has come of it: for answers that may end in a broken connection. `lengthNeeded`: only where its
   * length is known, because nobody could tell a broken answer from a whole one without.
   */
  atOnce(mxc: Mxc, options: DownloadOptions & { readonly lengthNeeded: boolean }): Promise<Served | Arriving>;
}

/** What is here a moment after its head is answered like all that is stored: with its length and its entity tag. In milliseconds. */
const MOMENT_MS = 100;

/**
 * A download (Client-Server API, `GET …/download`): the media that this subject may see, under the name of the path where
 * it gives one.
 *
 * Errors: those of {@link FindVisible}.
 */
export function makeDownload(parts: DownloadParts): Download {
  const { findVisible, findArriving, datastores, publish } = parts;

  function serve(media: Media, { fileName, ...access }: DownloadOptions): Served {
    parts.accessLog.note(media);
    return {
      servable: servableMedia(media, datastores, fileName),
      publish: publish && (() => publish.media(media)),
      forget: () => parts.lostMedia.forget(media, access),
    };
  }

  function pass(arrival: Arrival, bytes: ReadableStream<Uint8Array>, fileName: string | undefined): Arriving {
    const { contentType: type, announcedBytes, mine, stored } = arrival;
    return {
      media: { type, name: fileName ?? arrival.fileName, announcedBytes },
      bytes,
      isCharged: mine,
      publish: publish && (() => stored.then(publish.media, () => undefined)),
    };
  }

  return {
    whole: async (mxc, options) => serve(await findVisible(mxc, options), options),
    async atOnce(mxc, { lengthNeeded, ...options }) {
      const found = await findArriving(mxc, options);
      if (!isArrival(found)) return serve(found, options);
      if (lengthNeeded && found.announcedBytes === undefined) return serve(await found.stored, options);
      const stored = await Promise.race([found.stored, sleep(MOMENT_MS)]);
      const bytes = stored ? undefined : found.follow(options.signal);
      return bytes ? pass(found, bytes, options.fileName) : serve(await found.stored, options);
    },
  };
}
