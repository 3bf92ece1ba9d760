import type { MakeId } from "../platform/ids.ts";
import type { Log } from "../platform/log.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";

/** Whether the edge bucket keeps writes in order: see {@link makeOrderCheck}. */
export type KeepsOrder = () => Promise<boolean>;

/**
 * Finds out, once, whether the store of the edge bucket carries conditional writes. Without them a fill that comes late
 * could write over a deletion, so nothing may be published there and the edge asks the origin each time.
 *
 * Errors: those of a store that can't be reached; the next who asks tries again.
 */
export function makeOrderCheck(parts: {
  readonly bucket: EdgeBucket;
  readonly makeId: MakeId;
  readonly log: Log;
}): KeepsOrder {
  let found: Promise<boolean> | undefined;

  async function probe(): Promise<boolean> {
    try {
      const { conditionalWrites } = await parts.bucket.probe(parts.makeId());
      if (!conditionalWrites) {
        parts.log.error(
          {},
          "the edge bucket's store has no conditional writes: nothing is published, use R2 or another store",
        );
      }
      return conditionalWrites;
    } catch (error) {
      found = undefined;
      throw error;
    }
  }

  return () => {
    found ??= probe();
    return found;
  };
}
