import type { Server } from "./http/server.ts";
import { sleep } from "./platform/time.ts";

/** The part of `app.ts` that says how all of it ends. */

/** What is to be closed at the end, in the order in which it was opened. */
export type Closers = (() => Promise<unknown> | unknown)[];

/** Work that is under way gets so long to end, in milliseconds. */
const DRAIN_MS = 10_000;
/** Whatever hangs when it is closed is left behind after so long, so that the rest is closed nevertheless. */
const STEP_MS = 5_000;

/**
 * Ends all work: requests and whatever `others` end. No new request is taken from the first moment on; what is under way gets
 * ten seconds, and is then broken off.
 */
export async function endWork(server: Server, others: readonly (() => Promise<unknown>)[]): Promise<void> {
  await Promise.allSettled([server.close(), ...others.map((end) => Promise.race([end(), sleep(DRAIN_MS)]))]);
}

/** Closes everything in reverse order, and takes it from the list. Throws what went wrong first, after the rest is closed. */
export async function closeAll(closers: Closers): Promise<void> {
  const failures: unknown[] = [];
  for (let close = closers.pop(); close; close = closers.pop()) {
    const closed = Promise.resolve().then(close);
    // Nothing waits for the last one, which is the database: it may take its time.
    const bounded = closers.length > 0 ? Promise.race([closed, sleep(STEP_MS)]) : closed;
    await bounded.catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}
