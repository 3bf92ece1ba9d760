import type { Queryable } from "../database.ts";

/**
 * Lets nobody else who takes this lock do anything for the same user until `tx` ends: for limits that are first counted and
 * then used up. Taken before any row is locked.
 */
export async function lockUser(tx: Queryable, userId: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [userId]);
}
