import type { Readable } from "node:stream";
import { FetchError, toFetchError } from "./fetch_error.ts";

/**
 * The bytes of an answer as a web stream: counted, never read ahead of its reader. Errors with a {@link FetchError}, as
 * `too_large` at the first byte over `maxBytes`. `onOver` is called once, however it ends; cancelling ends the transfer.
 */
export function countedBody(source: Readable, maxBytes: number, onOver: () => void): ReadableStream<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = source[Symbol.asyncIterator]();
  let seen = 0;
  // Also where nobody reads and the time runs out: the error waits for a reader, the connection does not.
  source.on("error", () => {}).once("close", onOver);
  const stop = () => {
    source.destroy();
    onOver();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (done) {
            onOver();
            return controller.close();
          }
          seen += value.byteLength;
          if (seen > maxBytes) throw new FetchError("too_large", `The answer has more than ${maxBytes} bytes`);
          controller.enqueue(value);
        } catch (error) {
          stop();
          controller.error(toFetchError(error));
        }
      },
      cancel: stop,
    },
    { highWaterMark: 0 },
  );
}

/** All of a counted body as text (UTF-8, faults replaced). */
export async function readText(body: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** All of a counted body as JSON; throws `broken` if it is none. */
export async function readJson(body: ReadableStream<Uint8Array>): Promise<unknown> {
  const text = await readText(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FetchError("broken", "The answer is not JSON", error);
  }
}
