/** Milliseconds since the epoch, for dates: what the origin or a key says of its own end. It may be set at any time. */
export interface Clock {
  (): number;
  readonly tells?: "dates";
}

/** Milliseconds that never go back, for durations: how old what is remembered is. */
export interface SteadyClock {
  (): number;
  readonly tells?: "durations";
}

/**
 * Requests of one isolate that run at the same time may each see the time of their own last I/O: one may seem to be as far behind
 * another, in milliseconds, without anybody having set the clock.
 */
const JITTER_MS = 1_000;

/** More than anything here is remembered for. */
const FORGOTTEN_MS = 365 * 24 * 3_600_000;

/**
 * A steady clock out of the time of day, for a runtime that has no other: in workerd `performance.now` is the time of day, too. Where
 * that goes back, the time that has passed meanwhile is unknown; so it is taken for very much, and all that was remembered is too
 * old. Where it goes forward, things age sooner than they would. Either way nothing is believed for longer than it may be, but for
 * the second that is put down to {@link JITTER_MS}.
 */
export function makeSteadyClock(clock: Clock): SteadyClock {
  let lastMs = Number.NEGATIVE_INFINITY;
  let addedMs = 0;
  return () => {
    const nowMs = clock();
    if (nowMs < lastMs - JITTER_MS) {
      addedMs += lastMs - nowMs + FORGOTTEN_MS;
      lastMs = nowMs;
    }
    lastMs = Math.max(lastMs, nowMs);
    return lastMs + addedMs;
  };
}
