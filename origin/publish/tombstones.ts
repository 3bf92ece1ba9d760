import type { Queryable } from "../stores/db/database.ts";
import { enqueueOutbox } from "../stores/db/tables/outbox.ts";

/** Makes the edge forget a document for good: a tombstone of a larger generation takes its place. */

/** A document that the edge may have. */
export interface Erased {
  /** In the edge bucket. */
  readonly key: string;
  /** Drawn in the transaction that erased it. */
  readonly generation: number;
}

/** What holds for all tombstones of one call. */
export interface TombstoneOptions {
  /** When it was erased, in milliseconds. */
  readonly at: number;
  /** There may be very many, in no hurry: all others are delivered before them. */
  readonly bulk?: boolean;
  /** The media can be fetched again from the server that it is of. */
  readonly again?: boolean;
}

/**
 * Notes tombstones in the outbox, in the transaction that erases what they stand for. Returns their
 * keys, for `Outbox.deliver` to bring them to the edge.
 */
export async function enqueueTombstones(
  tx: Queryable,
  erased: readonly Erased[],
  { at, bulk = false, again = false }: TombstoneOptions,
): Promise<string[]> {
  const entries = erased.map(({ key, generation }) => {
    const document = { v: 1, gen: generation, gone: true, at, ...(again ? { again: true } : {}) } as const;
    return { key, generation, document, createdAt: at, bulk };
  });
  await enqueueOutbox(tx, ...entries);
  return erased.map(({ key }) => key);
}
