import { LRUCache } from "lru-cache";
import type { SteadyClock } from "../../platform/clock.ts";
import { type Buckets, drained, type Level, type Pour, waitFor } from "./bucket.ts";

/** How many buckets of each kind (what stands before the first colon of the key) are kept. About 200 bytes each. */
const MAX_BUCKETS = 50_000;

/** Buckets in the memory of this process. Each kind has its own room, so that many of one kind push out none of another. */
export function makeMemoryBuckets(options: { readonly clock: SteadyClock; readonly max?: number }): Buckets {
  const { clock, max = MAX_BUCKETS } = options;
  const kinds = new Map<string, LRUCache<string, Level>>();

  return {
    async pour(_home, pours) {
      const now = clock();
      const held = pours.map((pour) => drained(roomOf(pour).get(pour.key), pour.size.drainPerMs, now));
      const waits = pours.map((pour, index) => waitFor(held[index] ?? 0, pour.amount, pour.size));
      const waitMs = Math.max(...waits);
      for (const [index, pour] of pours.entries()) {
        keep(pour, (held[index] ?? 0) + (waitMs > 0 ? 0 : pour.amount), now);
      }
      return waitMs > 0 ? { fits: false, index: waits.indexOf(waitMs), waitMs } : { fits: true };
    },
    async correct(_home, pour) {
      const now = clock();
      keep(pour, drained(roomOf(pour).get(pour.key), pour.size.drainPerMs, now) + pour.amount, now);
    },
  };

  function keep(pour: Pour, amount: number, atMs: number): void {
    if (amount > 0) roomOf(pour).set(pour.key, { amount, atMs });
    else roomOf(pour).delete(pour.key);
  }

  function roomOf({ key }: Pour): LRUCache<string, Level> {
    const kind = key.slice(0, key.indexOf(":"));
    const room = kinds.get(kind) ?? new LRUCache<string, Level>({ max });
    kinds.set(kind, room);
    return room;
  }
}
