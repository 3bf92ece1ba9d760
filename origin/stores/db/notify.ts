import type { Queryable } from "./database.ts";

/**
 * Sends `payload` (at most 7999 bytes) to all who listen on `channel`, in every process, when `tx` is committed. A hint, never
 * the truth: who is not connected at that moment never hears it.
 */
export async function notify(tx: Queryable, channel: string, payload: string): Promise<void> {
  await tx.query("SELECT pg_notify($1, $2)", [channel, payload]);
}
