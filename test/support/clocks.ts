import { type Clock, type SteadyClock, steadyClock } from "../../origin/platform/clock.ts";

/** Both clocks of an origin, as if so many milliseconds more had passed. */
export function passing(aheadMs: () => number): { readonly clock: Clock; readonly steady: SteadyClock } {
  return { clock: () => Date.now() + aheadMs(), steady: () => steadyClock() + aheadMs() };
}

/** The time of day of an origin as somebody has set it, by so many milliseconds: durations go on as they were. */
export function setBy(byMs: () => number): { readonly clock: Clock } {
  return { clock: () => Date.now() + byMs() };
}
