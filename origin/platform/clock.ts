/**
 * The two clocks of the origin. They are handed to whatever needs the time, so that a test can be the one who tells it. Each bears a
 * mark, so that the compiler refuses one where the other is needed; a plain function, as tests have it, may stand for both.
 */

/**
 * The time of day: milliseconds since the Unix epoch. For dates, which mean something outside of this process: what others say, what
 * is recorded, what HTTP sends. Somebody may set it back or forward at any moment, so no duration may be measured by it.
 */
export interface Clock {
  (): number;
  readonly tells?: "dates";
}

/**
 * Milliseconds since some moment, at a steady pace and never back. For durations: how long something took, how old what is
 * remembered is, when to try again. It says nothing outside of this process.
 */
export interface SteadyClock {
  (): number;
  readonly tells?: "durations";
}

/** The machine's time of day. */
export const systemClock: Clock = () => Date.now();

/** The machine's steady clock, in whole milliseconds. It stands still while the machine is suspended. */
export const steadyClock: SteadyClock = () => Math.floor(performance.now());
