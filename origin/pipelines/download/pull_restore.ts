import type { Media } from "../../stores/db/media.ts";
import { type MediaAccess, pullRequestOf } from "./find_servable.ts";
import type { PullRemote } from "./pull_remote.ts";
import type { Servable } from "./servable.ts";

/** What {@link makeRestore} needs. */
export interface RestoreParts {
  readonly pullRemote: Pick<PullRemote, "restore">;
  readonly isOurs: (serverName: string) => boolean;
}

/** Makes media heal itself where it can: see {@link makeRestore}. */
export type Restore = (servable: Servable, media: Media, access: MediaAccess) => Servable;

/**
 * Media of another server whose object turns out to be lost when it is opened is fetched from there again, for whoever may make
 * us fetch. Our own media has no other place to come from.
 */
export function makeRestore({ pullRemote, isOurs }: RestoreParts): Restore {
  return function restoring(servable, media, access) {
    const request = isOurs(media.serverName) ? undefined : pullRequestOf(access);
    if (!request) return servable;
    return {
      media: servable.media,
      async open(slice, signal) {
        const bytes = await servable.open(slice, signal);
        if (bytes) return bytes;
        await pullRemote.restore(media, request);
        return await servable.open(slice, signal);
      },
    };
  };
}
