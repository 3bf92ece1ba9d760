import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 1_000;
const ANSWER_MS = 4_000;
/** A tier that reloads is silent for a moment. */
const SILENCES = 3;

/**
 * Resolves when an address has given no HTTP answer at all, whatever its status, for several seconds in a row, or when the
 * signal is aborted.
 */
export async function untilSilent(url: string, signal: AbortSignal): Promise<void> {
  for (let silences = 0; silences < SILENCES && !signal.aborted; ) {
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
    silences = (await answers(url, signal)) ? 0 : silences + 1;
  }
}

async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(url, {
      method: "OPTIONS",
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    await response.body?.cancel();
    return true;
  } catch {
    return false;
  }
}
