import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Datastore } from "../stores/objects/datastore.ts";

/** What {@link makeRemoveUnfinished} needs. Times in milliseconds. */
export interface RemoveUnfinishedParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Asked anew at each run: a changed configuration may have added some. */
  readonly stores: () => readonly Pick<Datastore, "id" | "removeUnfinished">[];
  /** What began so long ago is under way no more. */
  readonly minAgeMs: number;
}

/**
 * Removes the parts of objects that killed processes left in S3 stores, which keep and charge for them for ever, unless the
 * bucket has a rule of its own for that. A store that does not let us keeps no other from its turn. Returns how many there were.
 */
export function makeRemoveUnfinished(parts: RemoveUnfinishedParts): (signal: AbortSignal) => Promise<number> {
  return async function removeUnfinished(signal) {
    let removed = 0;
    for (const store of parts.stores()) {
      if (signal.aborted) break;
      try {
        removed += (await store.removeUnfinished?.(parts.clock() - parts.minAgeMs, signal)) ?? 0;
      } catch (error) {
        if (!signal.aborted) parts.log.warn({ store: store.id, error }, WARNING);
      }
    }
    return removed;
  };
}

const WARNING =
  "cannot look for unfinished uploads in a bucket: let it abort incomplete multipart uploads by a lifecycle rule";
