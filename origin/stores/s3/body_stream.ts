import type { Readable } from "node:stream";

/** A reader who asks for bytes waits this long for some. One who does not ask may take all the time there is. */
const SILENCE_MS = 60_000;

/**
 * The body of an answer as a web stream, read only when asked for. Cancel and abort close the connection.
 *
 * Errors: when the body ends before its announced length, or nothing comes for a minute.
 */
export function bodyStream(body: Readable, signal: AbortSignal): ReadableStream<Uint8Array> {
  // The client's own limit on silence would also end the connection of a reader who pauses.
  (body as Readable & { socket?: { setTimeout(ms: number): void } }).socket?.setTimeout(0);
  const chunks = body.iterator({ destroyOnReturn: true }) as AsyncIterator<Uint8Array>;
  const abort = () => body.destroy(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  body.once("close", () => signal.removeEventListener("abort", abort));
  if (signal.aborted) abort();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const silence = setTimeout(() => body.destroy(new Error("The store stopped sending")), SILENCE_MS);
        try {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } finally {
          clearTimeout(silence);
        }
      },
      cancel() {
        body.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}
