/** Thrown by {@link withDeadline}. */
export class DeadlineExceeded extends Error {
  override readonly name = "DeadlineExceeded";
}

/**
 * The one way to wait with a bound at the edge: the result of `work`, or {@link DeadlineExceeded} after `ms` milliseconds. Then
 * the signal that `work` was given aborts, and what it still gives goes to `discard`. A result in time is left alone, such as a
 * body that still flows.
 *
 * The timer belongs to the request that waits: in workerd a wait for another request's promise, with nothing of one's own pending,
 * counts as hung, and hangs for ever if that request dies.
 */
export async function withDeadline<T>(
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  discard?: (late: T) => unknown,
): Promise<T> {
  const over = new AbortController();
  const working = work(over.signal);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      working.then(discard).catch(() => undefined);
      const error = new DeadlineExceeded(`${what} took more than ${ms} ms`);
      reject(error);
      over.abort(error);
    }, ms);
  });
  try {
    return await Promise.race([working, late]);
  } finally {
    clearTimeout(timer ?? null);
  }
}
