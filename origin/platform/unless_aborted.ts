/**
 * What comes of `work`, unless the signal aborts first: then its reason is thrown, and `work` goes on without anybody waiting for
 * it. Nothing of this stays with the signal once it is decided.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
