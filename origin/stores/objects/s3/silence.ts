/** How long a store may let us wait for the next sign of life, in milliseconds. */
export const SILENCE_MS = 60_000;

/** The store did not move for too long. Nobody asks again at once: each try would take as long. */
export class StoreSilent extends Error {
  override readonly name = "StoreSilent";
}

/** Watches over one request: `signal` aborts when `heard` was not called for a while. */
export interface SilenceWatch {
  readonly signal: AbortSignal;
  /** The other side lives: it sent something, or took something. */
  heard(): void;
  stop(): void;
}

/**
 * Starts watching. The client's own limit on silence would stay in force while a body is read, and cut off a reader who
 * pauses; so it is not used.
 */
export function watchSilence(silenceMs: number = SILENCE_MS): SilenceWatch {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new StoreSilent("The store has gone silent")), silenceMs);
  return {
    signal: controller.signal,
    heard: () => void timer.refresh(),
    stop: () => clearTimeout(timer),
  };
}
