import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { FindDatastore } from "../../stores/objects/datastore.ts";
import { type MediaAccess, openBlob, pullRequestOf } from "../download/find_servable.ts";
import type { Servable } from "../download/servable.ts";
import type { PullRemote } from "./pull_remote.ts";

/** What {@link makeRestore} needs. */
export interface RestoreParts {
  readonly pullRemote: Pick<PullRemote, "restore">;
  readonly isOurs: (serverName: string) => boolean;
  /** The row of a media as it is now. */
  readonly findMedia: (mxc: Mxc) => Promise<Media | undefined>;
  readonly datastores: FindDatastore;
}

/** Makes media heal itself where it can: see {@link makeRestore}. */
export type Restore = (servable: Servable, media: Media, access: MediaAccess) => Servable;

/**
 * Media whose object turns out to be lost when it is opened may have been stored anew a moment ago, since its bytes came again.
 * That of another server is fetched from there again, for whoever may make us fetch. Our own has no other place to come from.
 *
 * Errors: those of `PullRemote`; 503 where its datastore has left the configuration.
 */
export function makeRestore(parts: RestoreParts): Restore {
  const open = async ({ blob }: Media, slice: ByteSlice | undefined, signal: AbortSignal) =>
    await parts.datastores(blob.datastoreId)?.open(blob, slice, signal);

  return function restoring(servable, media, access) {
    const request = parts.isOurs(media.serverName) ? undefined : pullRequestOf(access);
    return {
      ...servable,
      async open(slice, signal) {
        const bytes = (await open(media, slice, signal)) ?? (await openMoved(media, slice, signal));
        if (bytes) return bytes;
        if (request) return await open(await parts.pullRemote.restore(media, request), slice, signal);
        openBlob(media.blob, parts.datastores);
        return undefined;
      },
    };
  };

  async function openMoved(media: Media, slice: ByteSlice | undefined, signal: AbortSignal) {
    const now = await parts.findMedia(media);
    return now && now.blob.generation !== media.blob.generation ? await open(now, slice, signal) : undefined;
  }
}
