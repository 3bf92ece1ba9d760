import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { FreshCache } from "../../platform/ttl.ts";
import type { Database } from "../../stores/db/database.ts";
import { markBlobLost } from "../../stores/db/tables/blobs.ts";
import { findMedia, forgetRemoteMedia, type Media } from "../../stores/db/tables/media.ts";
import type { FindDatastore } from "../../stores/objects/datastore.ts";
import { enqueueErasure } from "../purge.ts";
import type { PullRemote } from "../remote/pull_remote.ts";
import { type MediaAccess, pullRequestOf } from "./find_servable.ts";

/** What {@link LostMedia} takes of the world. */
export interface LostMediaParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly isOurs: (serverName: string) => boolean;
  readonly datastores: FindDatastore;
  /** Fetches media of another server, and stores and records it. */
  readonly fetch: PullRemote["whole"];
  /** What was read of media a moment ago, by URI. */
  readonly rows: Pick<FreshCache<Media>, "forget">;
  /** Lets all processes forget what they have read of a media. */
  readonly forgetRow: (mxc: Mxc) => Promise<void>;
  readonly hasEdge: boolean;
}

/** What becomes of media whose object is missing from its datastore. */
export class LostMedia {
  readonly #parts: LostMediaParts;

  constructor(parts: LostMediaParts) {
    this.#parts = parts;
  }

  /**
   * Forgets the row of another server's media, for whoever may have it fetched again. Of our own media, which has no other place to
   * come from, only its body is marked as lost, until the same bytes are uploaded again. True: the media may be found by asking once
   * more, which is also so where its row has changed since it was read.
   *
   * An object whose datastore is not in the configuration may be there still: its row stays until the media was fetched again.
   * Errors: those of that fetch.
   */
  async forget(media: Media, access: MediaAccess): Promise<boolean> {
    const { db, clock, rows, datastores, fetch } = this.#parts;
    rows.forget(formatMxc(media));
    if (await this.#hasChanged(media)) return true;
    if (this.#parts.isOurs(media.serverName)) {
      await markBlobLost(db, media.blob, clock());
      return false;
    }
    const request = pullRequestOf(access);
    if (!request) return false;
    if (datastores(media.blob.datastoreId) === undefined) {
      if (media.quarantinedAt !== undefined) return false;
      const { blob } = await fetch(media, request);
      rows.forget(formatMxc(media));
      // The same bytes are at a new place now. Other bytes have still to take the place of these.
      if (blob.generation !== media.blob.generation) return true;
    }
    return await this.#forgetRemote(media);
  }

  /** False where it is to stay: it is quarantined. */
  async #forgetRemote(media: Media): Promise<boolean> {
    const at = this.#parts.clock();
    const deleted = await this.#parts.db.transaction(async (tx) => {
      const gone = await forgetRemoteMedia(tx, media, at);
      if (gone && this.#parts.hasEdge) await enqueueErasure(tx, media, gone, at);
      return gone;
    });
    if (!deleted) return await this.#hasChanged(media);
    await this.#parts.forgetRow(media);
    const { sha256, datastoreId: datastore, location } = media.blob;
    this.#parts.log.warn(
      { mxc: formatMxc(media), sha256, datastore, location },
      "object lost; remote media forgotten, to be fetched again",
    );
    return true;
  }

  /** Whether its row names another object by now, or is gone. */
  async #hasChanged(media: Media): Promise<boolean> {
    const now = await findMedia(this.#parts.db, media);
    return now?.blob.generation !== media.blob.generation;
  }
}
