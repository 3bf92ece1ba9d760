import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import type { Answer } from "../../../shared/http/respond.ts";
import { raceAbort } from "../../platform/time.ts";
import type { SeekableBody } from "../../stores/objects/datastore.ts";
import { mustClose } from "../lingering_close.ts";

/**
 * Writes answers past the framework, which would add a charset to JSON types and a length to answers without a body: what
 * `shared/` decides is what goes on the wire, so that both tiers answer alike. Nothing else hands a body to a connection.
 */

/** Writes a complete small answer. */
export function writeAnswer(reply: FastifyReply, answer: Answer): void {
  const body = answer.body === null ? undefined : Buffer.from(answer.body);
  writeBytes(reply, answer.status, answer.headers, body);
}

/** Writes status and headers, and no body: for HEAD and 304. */
export function writeHead(reply: FastifyReply, status: number, headers: Readonly<Record<string, string>>): void {
  reply.hijack();
  begin(reply, status, headers);
  reply.raw.end();
}

/** Writes status, headers with the length, and a body that is here, if there is one. */
export function writeBytes(
  reply: FastifyReply,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | undefined,
): void {
  const length = body ? { "content-length": String(body.byteLength) } : {};
  reply.hijack();
  begin(reply, status, { ...headers, ...length });
  reply.raw.end(body);
  reply.request.outcome?.sent(body?.byteLength ?? 0);
}

/** Looks at the bytes of a body on their way, or adds to them. */
export type Through = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

/**
 * Writes status, headers and a body as it comes, `through` something where that is given. Owns the body from the call on: it is
 * read to its end or cancelled, whatever happens, also where the client has left before. Resolves when all was handed over or
 * the client has left.
 *
 * Errors: those of the body. The connection is then left to whoever reports the error, to be ended, so that nobody takes half of
 * a body for the whole.
 */
export async function writeBody(
  reply: FastifyReply,
  status: number,
  headers: Readonly<Record<string, string>>,
  bytes: ReadableStream<Uint8Array>,
  through?: Through,
): Promise<void> {
  const { outcome, context } = reply.request;
  const { signal } = context;
  const { raw } = reply;
  const reader = bytes.getReader();
  const source = chunksOf(reader);
  const chunks = (through ? through(source) : source)[Symbol.asyncIterator]();
  reply.hijack();
  try {
    signal.throwIfAborted();
    begin(reply, status, headers);
    for (;;) {
      const { done, value } = await raceAbort(chunks.next(), signal);
      if (done) break;
      const hasRoom = raw.write(value);
      outcome.sent(value.byteLength);
      if (!hasRoom) await raceAbort(drained(raw), signal);
    }
    raw.end();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    // A generator that was not begun would not pass the end on to its source, and one that waits would not hear of it now.
    reader.cancel(signal.reason).catch(ignore);
    chunks.return?.().catch(ignore);
  }
}

/**
 * Writes status, headers and a slice of a body that is read by positions, one piece after the other: the next is read when the
 * connection has taken the one before it, so a client that takes slowly holds one piece of memory. Owns the body from the call on,
 * and closes it whatever happens. Resolves when all was handed over or the client has left.
 *
 * Errors: as {@link writeBody}.
 */
export async function writeSlice(
  reply: FastifyReply,
  head: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
  body: SeekableBody,
  slice: ByteSlice,
): Promise<void> {
  const { outcome, context } = reply.request;
  const { signal } = context;
  const { raw } = reply;
  const end = slice.offset + slice.length;
  reply.hijack();
  try {
    signal.throwIfAborted();
    begin(reply, head.status, head.headers);
    for (let position = slice.offset; position < end; ) {
      const piece = await body.read(position, Math.min(body.pieceBytes, end - position));
      signal.throwIfAborted();
      position += piece.byteLength;
      outcome.sent(piece.byteLength);
      if (position === end) return void raw.end(piece);
      await raceAbort(taken(raw, piece), signal);
    }
    raw.end();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    body.close();
  }
}

/** What a reader reads. Ending early ends nothing: that is for the owner of the reader. */
function chunksOf(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncIterable<Uint8Array> {
  const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
    const { done, value } = await reader.read();
    return done ? { done, value: undefined } : { done, value };
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

function begin(reply: FastifyReply, status: number, headers: Readonly<Record<string, string>>): void {
  const connection = mustClose(reply.request.raw) ? { connection: "close" } : {};
  reply.raw.writeHead(status, { ...headers, ...connection });
}

/** Writes a piece; resolves when its memory is needed no more. What goes wrong with the connection is told by its signal. */
function taken(raw: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => raw.write(piece, () => resolve()));
}

function drained(raw: ServerResponse): Promise<void> {
  return new Promise((resolve) => raw.once("drain", () => resolve()));
}

function ignore(): void {}
