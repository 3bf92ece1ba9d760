import type { Queryable } from "../../stores/db/database.ts";
import { enqueueOutbox } from "../../stores/db/tables/outbox.ts";
import type { TakenVerdict } from "../../stores/db/tables/verdicts.ts";

/**
 * Notes tombstones in place of verdicts that were taken in the same transaction, at the time `at` (milliseconds). `bulk`: it
 * may be all there are, and the edge has more urgent things to learn. Returns the keys under which they are to be delivered.
 */
export async function bury(
  tx: Queryable,
  taken: readonly TakenVerdict[],
  { at, bulk = false }: { at: number; bulk?: boolean },
): Promise<string[]> {
  const entries = taken.map(({ key, generation }) => {
    const document = { v: 1, gen: generation, gone: true, at } as const;
    return { key, generation, document, createdAt: at, bulk };
  });
  await enqueueOutbox(tx, ...entries);
  return taken.map(({ key }) => key);
}
