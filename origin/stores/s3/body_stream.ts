import type { Readable } from "node:stream";
import { SILENCE_MS, watchSilence } from "./silence.ts";

/**
 * The body of an answer as a web stream, read only when asked for. Cancel and abort close the connection.
 *
 * Errors: when the body ends before its announced length, or a reader who asks for bytes gets none for `silenceMs`
 * milliseconds. One who does not ask may take all the time there is.
 */
export function bodyStream(
  body: Readable,
  signal: AbortSignal,
  silenceMs: number = SILENCE_MS,
): ReadableStream<Uint8Array> {
  const chunks = body.iterator({ destroyOnReturn: true }) as AsyncIterator<Uint8Array>;
  const abort = () => body.destroy(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  body.once("close", () => signal.removeEventListener("abort", abort));
  body.on("error", () => undefined); // Also when nobody reads; a reader gets it from the iterator.
  if (signal.aborted) abort();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const silence = watchSilence(silenceMs);
        silence.signal.addEventListener("abort", () => body.destroy(silence.signal.reason));
        try {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } finally {
          silence.stop();
        }
      },
      cancel() {
        body.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}
