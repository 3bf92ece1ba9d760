import type { Mxc } from "../../shared/matrix/mxc.ts";
import type { Descriptor } from "../../shared/tiers/descriptor.ts";
import { DeadlineExceeded } from "../cache/deadline.ts";
import type { DocumentCache } from "../cache/document_cache.ts";
import type { Visit } from "../visit.ts";

/**
 * What a look-up found. `unknown`: the bucket could not be read; `late`: it took so long that the answer may be true no more.
 * Both say nothing about the media, and the origin must be asked.
 */
export type Found = Descriptor | "absent" | "unknown" | "late";

/** Looks up the descriptor under a key, of a media or of one of its thumbnails; `asItIsNow`: in the bucket itself. Never throws. */
export type FindDescriptor = (visit: Visit, key: string, mxc: Mxc, asItIsNow?: boolean) => Promise<Found>;

/** The look-up in the `d/` documents of the bucket. */
export function makeFindDescriptor(descriptors: DocumentCache<Descriptor>): FindDescriptor {
  return async (visit, key, mxc, asItIsNow) => {
    try {
      const found = await descriptors.read(key, visit.keepAlive, asItIsNow);
      if (!found) return "absent";
      // A descriptor that lies under a key of another media is a mistake that must not become a disclosure.
      return found.gone || (found.server_name === mxc.serverName && found.media_id === mxc.mediaId) ? found : "absent";
    } catch (thrown) {
      return thrown instanceof DeadlineExceeded ? "late" : "unknown";
    }
  };
}
