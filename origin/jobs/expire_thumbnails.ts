import { thumbnailKeyOf } from "../../shared/tiers/object_key.ts";
import type { Clock } from "../platform/clock.ts";
import { enqueueTombstones } from "../publish/tombstones.ts";
import type { Database, Queryable } from "../stores/db/database.ts";
import { deleteOldThumbnails } from "../stores/db/tables/thumbnails.ts";

/** What {@link makeExpireThumbnails} needs. */
export interface ExpireThumbnailsParts {
  readonly db: Database;
  readonly clock: Clock;
  /** After how many days a thumbnail goes (`thumbnails.expireAfterDays`); 0: never. */
  readonly days: () => number;
  /** Whether there is an edge, which is to forget them too. */
  readonly hasEdge: boolean;
}

const DAY_MS = 86_400_000;
const PAGE = 200;

/**
 * Removes thumbnails that were made so many days ago, at both tiers. They are made again when somebody asks for them. Returns
 * how many went.
 */
export function makeExpireThumbnails(parts: ExpireThumbnailsParts): (signal: AbortSignal) => Promise<number> {
  return async function expireThumbnails(signal) {
    const days = parts.days();
    if (days <= 0) return 0;
    const before = parts.clock() - days * DAY_MS;
    let gone = 0;
    for (let more = true; more && !signal.aborted; ) {
      const page = await parts.db.transaction((tx) => expirePage(tx, before));
      gone += page.deleted.length;
      more = page.more;
    }
    return gone;
  };

  async function expirePage(tx: Queryable, before: number) {
    const at = parts.clock();
    const page = await deleteOldThumbnails(tx, before, at, PAGE);
    if (!parts.hasEdge) return page;
    const erased = page.deleted.map((one) => ({ key: thumbnailKeyOf(one, one.suffix), generation: one.generation }));
    await enqueueTombstones(tx, erased, { at, bulk: true });
    return page;
  }
}
