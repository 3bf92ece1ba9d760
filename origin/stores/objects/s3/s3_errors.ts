import { type IdleTimeout, idleTimeout, sleep } from "../../../platform/time.ts";

/** How long a store may let us wait for the next sign of life, in milliseconds. */
const SILENCE_MS = 60_000;

/** The store did not move for too long. Nobody asks again at once: each try would take as long. */
class StoreSilent extends Error {
  override readonly name = "StoreSilent";
}

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2_000;

/** The status a store answered with; undefined when it did not answer. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

/** The object is not there. (That the bucket is not there is something else.) */
export function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && (error as Error).name !== "NoSuchBucket";
}

/** The object ends before the range that was asked for begins. */
export function isOutOfRange(error: unknown): boolean {
  return statusOf(error) === 416;
}

/** The condition of a conditional request did not hold (412), or another write was just under way (409). */
export function isConditionFailed(error: unknown): boolean {
  const status = statusOf(error);
  return status === 412 || status === 409;
}

/** The store did not answer, was overtaxed or failed: the same may succeed later. */
export function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (status === undefined) return error instanceof Error && !NEVER_MENDS.has(error.name);
  return status === 429 || status === 408 || (status >= 500 && status !== 501);
}

const NEVER_MENDS = new Set(["AbortError", "CredentialsProviderError", "RangeError", "StoreSilent", "TypeError"]);

/**
 * Watches over one request for signs of life. The client's own limit on silence would stay in force while a body is read, and cut
 * off a reader who pauses; so it is not used.
 */
export function watchStore(silenceMs: number = SILENCE_MS): IdleTimeout {
  return idleTimeout(silenceMs, () => new StoreSilent("The store has gone silent"));
}

/** Waits before try number `attempt` + 1 (the first is 1): longer each time, at most 2 s, shorter on abort. */
export async function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS), signal);
  signal.throwIfAborted();
}

/** Does `work` up to `attempts` times, as long as what it throws may mend. */
export async function withRetries<T>(attempts: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (attempt >= attempts || !isTransient(error)) throw error;
      await backOff(attempt, signal);
    }
  }
}
