import type { SteadyClock } from "./clock.ts";

/** What {@link makeEstimate} needs. */
export interface EstimateParts<T> {
  readonly clock: SteadyClock;
  /** How old an answer may be before another is asked for, in milliseconds. */
  readonly ttlMs: number;
  readonly ask: () => Promise<T>;
  /** What to go by until there was an answer. */
  readonly fallback: T;
  readonly onError: (error: unknown) => void;
}

/**
 * Knows roughly what is costly to ask. Only the very first asking is waited for; later ones go on while the last good answer is
 * given. Never rejects.
 */
export function makeEstimate<T>(parts: EstimateParts<T>): () => Promise<T> {
  let known = parts.fallback;
  let askedMs = Number.NEGATIVE_INFINITY;
  let first: Promise<void> | undefined;

  async function ask(): Promise<void> {
    try {
      known = await parts.ask();
    } catch (error) {
      parts.onError(error);
    }
  }

  return async function estimate() {
    if (parts.clock() - askedMs > parts.ttlMs) {
      askedMs = parts.clock();
      const asking = ask();
      first ??= asking;
    }
    await first;
    return known;
  };
}
