import type { SteadyClock } from "../platform/clock.ts";

/** How long after a first Ctrl-C a second one is taken for the same: npm passes on what the terminal has sent already. */
const SAME_MS = 500;

/**
 * Becomes aborted when this process is asked to end: by SIGINT or SIGTERM, or because the process that started it with a
 * channel is gone. Whoever asks a second time does not want to wait: the process ends at once.
 */
export function stopSignal(now: SteadyClock): AbortSignal {
  const controller = new AbortController();
  let first: number | undefined;
  const ask = (): void => {
    if (first !== undefined && now() - first > SAME_MS) process.exit(130);
    first ??= now();
    controller.abort(new Error("asked to end"));
  };
  process.on("SIGINT", ask);
  process.on("SIGTERM", ask);
  process.once("disconnect", ask);
  return controller.signal;
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
