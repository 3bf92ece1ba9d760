import { isUtf8 } from "node:buffer";
import type { Dispatcher } from "undici";
import { countedBody, readJson, readText } from "./fetch_body.ts";
import { FetchError } from "./fetch_error.ts";
import { type Hop, redirectTarget } from "./hop.ts";

/** An answer as undici gives it, whose headers are here. */
export type Answer = Dispatcher.ResponseData<unknown>;

/** An answer. Read or cancel its body; if neither happens, `timeoutMs` ends it. */
export interface SafeResponse {
  status: number;
  /** The URL that answered, after redirects. */
  url: string;
  headers: { get(name: string): string | null };
  /** Where it redirects to, if the caller is to decide on that. */
  redirectsTo: URL | undefined;
  /** At most `maxBytes`; errors with a {@link FetchError} if it is longer, late or cut short. */
  body: ReadableStream<Uint8Array>;
  text(): Promise<string>;
  /** Throws a `broken` {@link FetchError} if it is no JSON. */
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

/** `work`, but only the first time. */
export function once(work: () => unknown): () => void {
  let called = false;
  return () => {
    if (!called) work();
    called = true;
  };
}
