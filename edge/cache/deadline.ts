/** Thrown by {@link withDeadline}. */
export class DeadlineExceeded extends Error {
  override readonly name = "DeadlineExceeded";
}

/**
 * What `work` gives, or a {@link DeadlineExceeded} after `ms` milliseconds; what it gives later is for `discard`. The timer belongs
 * to the request that waits: in workerd a wait for another request's promise, with nothing of one's own pending, counts as hung,
 * and hangs for ever if that request dies.
 */
export async function withDeadline<T>(
  work: Promise<T>,
  ms: number,
  what: string,
  discard?: (late: T) => unknown,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      work.then(discard).catch(() => undefined);
      reject(new DeadlineExceeded(`${what} took more than ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer ?? null);
  }
}
