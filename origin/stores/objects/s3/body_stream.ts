import type { Readable } from "node:stream";
import { watchStore } from "./s3_errors.ts";
import type { Seat } from "./seats.ts";

/** How a body is read. */
export interface BodyStreamOptions {
  /** How many bytes it must have. */
  readonly length: number;
  readonly signal: AbortSignal;
  /** Its reader's, given back when the body has ended; it works while the reader asks for bytes, and rests meanwhile. */
  readonly seat: Seat;
  readonly silenceMs?: number | undefined;
}

/**
 * The body of an answer as a web stream, read only when asked for. Cancel and abort close the connection.
 *
 * Errors: when the body has fewer or more bytes than it must have, or a reader who asks for bytes gets none for `silenceMs`
 * milliseconds. One who does not ask may take all the time there is, as long as nobody else waits for the seat.
 */
export function bodyStream(body: Readable, options: BodyStreamOptions): ReadableStream<Uint8Array> {
  const { length, seat, silenceMs } = options;
  const signal = AbortSignal.any([options.signal, seat.signal]);
  const chunks = body.iterator({ destroyOnReturn: true }) as AsyncIterator<Uint8Array>;
  const abort = () => end(signal.reason);
  let missing = length;

  function end(reason?: unknown): void {
    body.destroy(reason as Error | undefined);
    seat.leave();
  }

  async function next(): Promise<Uint8Array | undefined> {
    const silence = watchStore(silenceMs);
    silence.signal.addEventListener("abort", () => end(silence.signal.reason));
    seat.works();
    try {
      const { done, value } = await chunks.next();
      return done ? undefined : value;
    } catch (error) {
      // Under its own name a connection that the store broke off would look like one that our client did.
      if (signal.aborted || silence.signal.aborted) throw error;
      throw new Error("Cannot read on: the store broke off", { cause: error });
    } finally {
      silence.stop();
      seat.rests();
    }
  }

  signal.addEventListener("abort", abort, { once: true });
  body.once("close", () => {
    signal.removeEventListener("abort", abort);
    seat.leave();
  });
  body.on("error", () => undefined); // Also when nobody reads; a reader gets it from the iterator.
  seat.rests();
  if (signal.aborted) abort();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await next();
        missing -= chunk?.byteLength ?? 0;
        if (missing < 0 || (missing > 0 && !chunk)) {
          end();
          throw new Error(`Cannot read ${length} bytes: the object has ${missing < 0 ? "more" : `${missing} fewer`}`);
        }
        if (chunk) return controller.enqueue(chunk);
        seat.leave();
        controller.close();
      },
      cancel: () => end(),
    },
    { highWaterMark: 0 },
  );
}
