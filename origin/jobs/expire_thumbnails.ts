import { thumbnailKeyOf } from "../../shared/object_key.ts";
import type { Clock } from "../platform/clock.ts";
import type { Database, Queryable } from "../stores/db/database.ts";
import { enqueueOutbox } from "../stores/db/outbox.ts";
import { deleteOldThumbnails } from "../stores/db/thumbnails.ts";

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
    for (let page = PAGE; page >= PAGE && !signal.aborted; gone += page) {
      page = await parts.db.transaction((tx) => expirePage(tx, before));
    }
    return gone;
  };

  async function expirePage(tx: Queryable, before: number): Promise<number> {
    const at = parts.clock();
    const deleted = await deleteOldThumbnails(tx, before, at, PAGE);
    for (const thumbnail of parts.hasEdge ? deleted : []) {
      const { generation } = thumbnail;
      const document = { v: 1, gen: generation, gone: true, at } as const;
      const key = thumbnailKeyOf(thumbnail, thumbnail.suffix);
      await enqueueOutbox(tx, { key, generation, document, createdAt: at });
    }
    return deleted.length;
  }
}
