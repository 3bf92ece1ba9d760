/** The four ways to wait with a bound: a while, a request's whole time, unless somebody gives up, and until nothing moves any more. */

/** Resolves after `ms` milliseconds, or at once when `signal` aborts; never rejects and never keeps the process alive. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    timer.unref();
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** A signal that aborts after `ms` milliseconds (with a `TimeoutError`), or as soon as `signal` does (with its reason). */
export function timeout(ms: number, signal?: AbortSignal): AbortSignal {
  const limit = AbortSignal.timeout(ms);
  return signal ? AbortSignal.any([signal, limit]) : limit;
}

/**
 * The outcome of `work`, unless the signal aborts first: then its reason is thrown, and `work` goes on without anybody waiting for
 * it. No listener stays with the signal afterwards.
 */
export function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}

/** Limits how long another side may do nothing: `signal` aborts once nothing was noted for that long. */
export interface IdleTimeout {
  readonly signal: AbortSignal;
  /** The other side sent something, or took something: its time begins again. */
  touch(): void;
  /** Ends the watch; without it the timer keeps the process alive until it fires. */
  stop(): void;
}

/** Begins to wait for signs of life: `signal` aborts with `makeReason()` after `ms` milliseconds without one. */
export function idleTimeout(ms: number, makeReason: () => Error): IdleTimeout {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(makeReason()), ms);
  return {
    signal: controller.signal,
    touch: () => void timer.refresh(),
    stop: () => clearTimeout(timer),
  };
}
