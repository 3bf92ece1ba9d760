import { isUtf8 } from "node:buffer";
import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { FetchError, toFetchError } from "./fetch_error.ts";
import { type Hop, redirectTarget } from "./redirects.ts";

/** An answer as undici gives it, whose headers are here. */
export type Answer = Dispatcher.ResponseData<unknown>;

/** An answer. Read or cancel its body; if neither happens, `timeoutMs` ends it. */
export interface SafeResponse {
  readonly status: number;
  /** The URL that answered, after redirects. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  /** Where it redirects to, if the caller is to decide on that. */
  readonly redirectsTo: URL | undefined;
  /** At most `maxBytes`; errors with a {@link FetchError} if it is longer, late or cut short. */
  readonly body: ReadableStream<Uint8Array>;
  text(): Promise<string>;
  /** Throws a `broken` {@link FetchError} if it is not JSON. */
  json(): Promise<unknown>;
}

/** Hands out the answer of the last hop. Throws, ending the transfer, if it is compressed or announces more than `maxBytes`. */
export function respond(hop: Hop, answer: Answer, maxBytes: number, over: () => void): SafeResponse {
  try {
    requirePlain(answer, hop.method, maxBytes);
  } catch (error) {
    discard(answer, over);
    throw error;
  }
  const body = countedBody(answer.body, maxBytes, over);
  return {
    status: answer.statusCode,
    url: hop.url.href,
    headers: { get: (name) => headerOf(answer, name) ?? null },
    redirectsTo: redirectTarget(hop.url, answer.statusCode, headerOf(answer, "location")),
    body,
    text: () => readText(body),
    json: () => readJson(body),
  };
}

function requirePlain(answer: Answer, method: string, maxBytes: number): void {
  const encoding = headerOf(answer, "content-encoding")?.trim().toLowerCase();
  if (encoding && encoding !== "identity") throw new FetchError("encoding", `The answer is encoded as "${encoding}"`);
  const announced = Number(headerOf(answer, "content-length") ?? 0);
  if (announced > maxBytes && method !== "HEAD")
    throw new FetchError("too_large", `The answer has ${announced} bytes, ${maxBytes} are allowed`);
}

/**
 * The bytes of an answer as a web stream: counted, never read ahead of its reader. Errors with a {@link FetchError}, as
 * `too_large` at the first byte over `maxBytes`. `onOver` is called once, however it ends; cancelling ends the transfer.
 */
function countedBody(source: Readable, maxBytes: number, onOver: () => void): ReadableStream<Uint8Array> {
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
async function readText(body: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** All of a counted body as JSON; throws a `broken` {@link FetchError} if it is not. */
async function readJson(body: ReadableStream<Uint8Array>): Promise<unknown> {
  const text = await readText(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FetchError("broken", "The answer is not JSON", error);
  }
}

/** Ends the transfer of an answer that nobody reads. */
export function discard(answer: Answer, release: () => void): void {
  answer.body.on("error", () => {}).destroy();
  release();
}

/** A header of an answer, its repetitions joined; as UTF-8 where its bytes are that, else as Latin-1. */
export function headerOf(answer: Answer, name: string): string | undefined {
  const header = answer.headers[name.toLowerCase()];
  const value = Array.isArray(header) ? header.join(", ") : header;
  if (value === undefined) return undefined;
  // Headers arrive one character a byte; file names in them are UTF-8 all the same.
  const bytes = Buffer.from(value, "latin1");
  return isUtf8(bytes) ? bytes.toString() : value;
}
