/** Bytes as they pass: counted, so that no header is believed, and pulled, so that none pile up. */

/** The chunks of `source` as they come, until they sum up to more than `max` bytes: then throws `onExceeded()` and lets the source go. */
export async function* limitBytes<T extends Uint8Array>(
  source: AsyncIterable<T>,
  max: number,
  onExceeded: () => Error,
): AsyncGenerator<T, void, undefined> {
  let seen = 0;
  for await (const chunk of source) {
    seen += chunk.byteLength;
    if (seen > max) throw onExceeded();
    yield chunk;
  }
}

/** All bytes of `source` in memory. Throws `onExceeded()` and lets the source go when there are more than `max`. */
export async function readBytes(
  source: AsyncIterable<Uint8Array>,
  max: number,
  onExceeded: () => Error,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of limitBytes(source, max, onExceeded)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What a {@link pullStream} hands out, and what ends it. */
export interface PullStreamOptions {
  /** Reads the next bytes, when its reader asks for some; `undefined` at the end. What it throws is what the stream fails with. */
  readonly next: () => Promise<Uint8Array | undefined>;
  /**
   * Gives back what the bytes are read from: called once, at the end, on failure, when the reader cancels or `signal` aborts (then
   * with the reason); the stream closes when it has resolved. What it throws after a failure is ignored.
   */
  readonly onEnd: (reason?: unknown) => Promise<void> | void;
  readonly signal: AbortSignal;
  /** How many bytes there will be, where that is known: the stream ends with the last of them, and fails where they end before it. */
  readonly length?: number;
}

/**
 * A stream that reads only when it is asked for bytes, and has an owner from its first moment: whichever way it ends, `onEnd` is
 * called once. A signal that aborts fails it at once, also while `next` is under way, whose bytes are then dropped.
 */
export function pullStream({ next, onEnd, signal, length }: PullStreamOptions): ReadableStream<Uint8Array> {
  let missing = length;
  let hasEnded = false;
  let onAbort = () => {};

  async function end(reason?: unknown): Promise<void> {
    if (hasEnded) return;
    hasEnded = true;
    signal.removeEventListener("abort", onAbort);
    await onEnd(reason);
  }

  async function pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const chunk = missing === 0 ? undefined : await next();
    if (hasEnded) return;
    if (chunk) {
      controller.enqueue(chunk);
      if (missing !== undefined) missing -= chunk.byteLength;
    } else if (missing) throw new Error(`Cannot read on: ${missing} of ${length} bytes are missing`);
    if (chunk && missing !== 0) return;
    await end();
    controller.close();
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        onAbort = () => {
          controller.error(signal.reason);
          end(signal.reason).catch(() => undefined);
        };
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
      },
      async pull(controller) {
        try {
          await pull(controller);
        } catch (error) {
          await end(error).catch(() => undefined);
          throw error;
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}
