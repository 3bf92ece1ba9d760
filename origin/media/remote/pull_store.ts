import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { RemoteMedia } from "../../matrix/media/peer_media.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Queryable } from "../../stores/db/database.ts";
import { doomIfUnreferenced } from "../../stores/db/tables/blobs.ts";
import { findMedia, insertMedia, type Media } from "../../stores/db/tables/media.ts";
import type { Datastore } from "../../stores/objects/datastore.ts";
import type { Ingested } from "../upload/ingest.ts";
import type { StoreOnce } from "../upload/store_once.ts";
import type { PullOrder } from "./pull_order.ts";

/** What {@link makeStorePulled} needs. `deadlineMs`: how long storing one body may take. */
export interface StorePulledParts {
  readonly clock: Clock;
  readonly storeOnce: StoreOnce;
  readonly deadlineMs: number;
}

/** A body that was fetched whole, with what its server said of it. */
export interface Pulled {
  readonly order: PullOrder;
  readonly received: Ingested;
  readonly remote: Pick<RemoteMedia, "contentType" | "fileName">;
  readonly datastore: Datastore;
}

/** Stores and records a media of another server: see {@link makeStorePulled}. */
export type StorePulled = (mxc: Mxc, pulled: Pulled) => Promise<Media>;

/**
 * Stores a fetched body like any other and records the media: nobody's, and frozen as new media is at this time, however old it
 * may be where it comes from (Client-Server API, the freeze). Whoever records it second gets the first one's.
 */
export function makeStorePulled(parts: StorePulledParts): StorePulled {
  return async function storePulled(mxc, pulled) {
    const { order, received, remote, datastore } = pulled;
    const signal = AbortSignal.timeout(parts.deadlineMs);
    return await parts.storeOnce(received, {
      datastore: async () => datastore,
      signal,
      record: (tx) => record(tx, mxc, order, received.sha256, remote),
    });
  };

  async function record(
    tx: Queryable,
    mxc: Mxc,
    { asking }: PullOrder,
    sha256: string,
    { contentType, fileName }: Pick<RemoteMedia, "contentType" | "fileName">,
  ): Promise<Media> {
    const createdAt = parts.clock();
    const frozen = asking.freezeNewMedia;
    const media = { ...mxc, sha256, contentType, uploadName: fileName, userId: undefined, createdAt, frozen };
    const recorded = await insertMedia(tx, media);
    if (recorded) return recorded;
    await doomIfUnreferenced(tx, [sha256], createdAt);
    const present = await findMedia(tx, mxc);
    if (!present) throw new Error(`Cannot record ${formatMxc(mxc)}: it is there, and it is not`);
    return present;
  }
}
