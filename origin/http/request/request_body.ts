import type { IncomingMessage } from "node:http";
import * as z from "zod";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { BODY_END_HEADER, bodyEndBytes } from "../../../shared/tiers/hop.ts";
import { readBytes } from "../../platform/bytes.ts";

/** Reads the bodies of requests: uploads as streams of bytes, everything else as small JSON objects. */

/** A request, as far as its body is concerned. */
export interface BodyCarrier {
  body(): AsyncIterable<Uint8Array>;
  readonly declaredBytes: number | undefined;
  /** As the client sent it. */
  readonly contentType: string | undefined;
}

/** How a body is read. */
export interface BodyOptions {
  readonly fromEdge: boolean;
  /** How long it may stand still, in milliseconds. */
  readonly idleMs: number;
  /** Before the first read. */
  readonly onBegin: () => void;
  readonly onBytes: (bytes: number) => void;
}

/** The least that must arrive in each `idleMs`, in bytes: a body that drips ends like one that has stopped. */
const MIN_BYTES = 1_024;
/** The largest JSON body that is read, in bytes. */
const MAX_JSON_BYTES = 64 * 1024;

/**
 * The body of a request as it arrives. The reader may stop early and still answer: the connection disposes of the rest
 * (`lingering_close.ts`).
 *
 * Errors: 408 for a body that stops or drips for `idleMs` milliseconds, since it holds a temporary file; 400 for one that breaks off,
 * and for one of unknown length from our edge without the word that proves it whole (`shared/tiers/hop`); 501 for a
 * transfer coding other than chunked.
 */
export function readBody(request: IncomingMessage, options: BodyOptions): AsyncIterable<Uint8Array> {
  const { "transfer-encoding": coding } = request.headers;
  const arriving = arrivingBody(request, options, coding);
  const word = bodyEndOf(request, options.fromEdge);
  if (word) return takeBodyEnd(arriving, bodyEndBytes(word), broken);
  if (options.fromEdge && coding !== undefined) throw broken();
  return arriving;
}

/** The length that the sender announced, in bytes; `undefined` for a chunked body. */
export function declaredBytesOf(request: IncomingMessage, fromEdge: boolean): number | undefined {
  if (bodyEndOf(request, fromEdge)) return undefined;
  const { "content-length": header } = request.headers;
  if (header === undefined) return undefined;
  const bytes = Number(header);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined;
}

/** How a route reads its body. `read` may return a promise. */
export interface BodyReader<B> {
  readonly read: (request: BodyCarrier) => B;
}

/**
 * A JSON object of this form; an absent or empty body is an empty object.
 *
 * Errors: 400 `M_NOT_JSON` for what is not JSON in UTF-8; 400 `M_BAD_JSON` for what is no object, or of another form; 413
 * `M_TOO_LARGE`; 408.
 */
export function jsonBody<T>(schema: z.ZodType<T>): BodyReader<Promise<T>> {
  return {
    async read(request) {
      const value = parseJson(await readBytes(request.body(), MAX_JSON_BYTES, tooLarge));
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw badJson("must be a JSON object");
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      throw badJson(`is not as it must be: ${z.prettifyError(parsed.error)}`);
    },
  };
}

/** Bytes that are taken in as they come, with what the sender says of them. */
export const byteBody: BodyReader<ByteBody> = {
  read: (request) => ({
    bytes: request.body(),
    declaredBytes: request.declaredBytes,
    contentType: request.contentType,
  }),
};

/** See {@link byteBody}. */
export interface ByteBody {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly declaredBytes: number | undefined;
  readonly contentType: string | undefined;
}

async function* arrivingBody(
  source: IncomingMessage,
  { idleMs, onBegin, onBytes }: BodyOptions,
  coding: string | undefined,
): AsyncGenerator<Uint8Array> {
  if (coding !== undefined && coding.toLowerCase() !== "chunked") throw unknownCoding();
  const chunks: AsyncIterator<Uint8Array> = source.iterator({ destroyOnReturn: false });
  onBegin();
  let giveUp: ((error: Error) => void) | undefined;
  let arrived = 0;
  // The client is too slow only while a read waits for it.
  const timer = setInterval(() => {
    if (arrived < MIN_BYTES) giveUp?.(tooSlow());
    arrived = 0;
  }, idleMs);
  const next = () =>
    new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      giveUp = reject;
      const settled = () => {
        giveUp = undefined;
      };
      chunks.next().finally(settled).then(resolve, reject);
    });
  try {
    for (let chunk = await next(); !chunk.done; chunk = await next()) {
      arrived += chunk.value.byteLength;
      onBytes(chunk.value.byteLength);
      yield chunk.value;
    }
    // The iterator also ends for a body that broke off: only the parser knows whether it is whole.
    if (!source.complete) throw broken();
  } finally {
    clearInterval(timer);
    // An abandoned read cannot be ended before a chunk comes.
    if (!giveUp) await chunks.return?.();
  }
}

/** The word at the end of a body from our edge. It counts even if a proxy between the tiers has added a length. */
function bodyEndOf({ headers }: IncomingMessage, fromEdge: boolean): string | undefined {
  const word = fromEdge ? headers[BODY_END_HEADER] : undefined;
  return typeof word === "string" ? word : undefined;
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return {};
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new MatrixError("M_NOT_JSON", "The body is not valid JSON", { cause });
  }
}

function badJson(what: string): MatrixError {
  return new MatrixError("M_BAD_JSON", `The body ${what}`);
}

function tooLarge(): MatrixError {
  return new MatrixError("M_TOO_LARGE", `Cannot read a body of more than ${MAX_JSON_BYTES} bytes here`);
}

function broken(): MatrixError {
  return new MatrixError("M_UNKNOWN", "Cannot read the request", { status: 400 });
}

function unknownCoding(): MatrixError {
  return new MatrixError("M_UNKNOWN", "Cannot read a body in this transfer coding", { status: 501 });
}

function tooSlow(): MatrixError {
  return new MatrixError("M_UNKNOWN", "The body did not arrive in time", { status: 408 });
}

/** The chunks of `source` without these last bytes. Throws `broken()` at the end of one that does not end with them. */
export async function* takeBodyEnd(
  source: AsyncIterable<Uint8Array>,
  end: Uint8Array,
  broken: () => Error,
): AsyncGenerator<Uint8Array, void, undefined> {
  let held = new Uint8Array(0);
  for await (const chunk of source) {
    const here = joined(held, chunk);
    const ready = Math.max(0, here.byteLength - end.byteLength);
    held = here.slice(ready);
    if (ready > 0) yield here.subarray(0, ready);
  }
  if (held.byteLength !== end.byteLength || held.some((byte, at) => byte !== end[at])) throw broken();
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  if (one.byteLength === 0) return other;
  const both = new Uint8Array(one.byteLength + other.byteLength);
  both.set(one);
  both.set(other, one.byteLength);
  return both;
}
