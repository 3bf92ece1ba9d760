import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../../config/schema.ts";

/** Where the tiers on this machine are reached, and whether they answer. */

/** While a tier starts: the pause between two requests, and how long one may take, in milliseconds. */
const READY_PAUSE_MS = 100;
const READY_ANSWER_MS = 5_000;
/** While a tier runs: the same. */
const SILENT_PAUSE_MS = 1_000;
const SILENT_ANSWER_MS = 4_000;
/** So many requests in a row must fail: a tier that reloads is silent for a moment. */
const SILENCES = 3;

/** The address of an origin on this machine, which may listen on all addresses. */
export function originUrl({ bindAddress, port }: Pick<Config["repo"], "bindAddress" | "port">): string {
  const any: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1" };
  const host = any[bindAddress] ?? bindAddress;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The address of a local edge. */
export function edgeUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** Requests an address until it answers with 200, or with a status that `isWell` accepts. Throws the signal's reason when it aborts. */
export async function waitUntilReady(
  url: string,
  signal: AbortSignal,
  isWell: (status: number) => boolean = (status) => status === 200,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (await answersWell(url, signal, isWell)) return;
    await sleep(READY_PAUSE_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

async function answersWell(url: string, signal: AbortSignal, isWell: (status: number) => boolean): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(READY_ANSWER_MS)]) });
    await response.body?.cancel();
    return isWell(response.status);
  } catch {
    return false;
  }
}

/**
 * Resolves when an address has given no HTTP answer at all, whatever its status, for several seconds in a row, or when the
 * signal is aborted.
 */
export async function waitUntilSilent(url: string, signal: AbortSignal): Promise<void> {
  for (let silences = 0; silences < SILENCES && !signal.aborted; ) {
    await sleep(SILENT_PAUSE_MS, undefined, { signal }).catch(() => {});
    silences = (await answers(url, signal)) ? 0 : silences + 1;
  }
}

async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(url, {
      method: "OPTIONS",
      signal: AbortSignal.any([signal, AbortSignal.timeout(SILENT_ANSWER_MS)]),
    });
    await response.body?.cancel();
    return true;
  } catch {
    return false;
  }
}
