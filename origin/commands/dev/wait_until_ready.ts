import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 100;
const ANSWER_MS = 5_000;

/**
 * Asks an address again and again until it answers well: with 200, or as `isWell` says. Throws what the signal says when it
 * is aborted.
 */
export async function waitUntilReady(
  url: string,
  signal: AbortSignal,
  isWell: (status: number) => boolean = (status) => status === 200,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (await answersWell(url, signal, isWell)) return;
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

async function answersWell(url: string, signal: AbortSignal, isWell: (status: number) => boolean): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) });
    await response.body?.cancel();
    return isWell(response.status);
  } catch {
    return false;
  }
}
