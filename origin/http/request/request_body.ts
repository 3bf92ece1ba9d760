import type { IncomingMessage } from "node:http";
import type { FastifyRequest } from "fastify";
import { BODY_END_HEADER, bodyEndBytes, takeBodyEnd } from "../../../shared/http/body_end.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { headerOf } from "./request_context.ts";

/** What must arrive of a body in each `idleMs`, in bytes: one that drips ends like one that stands still. */
const MIN_BYTES = 1_024;

/**
 * The body of a request as it arrives. One that stands still for `idleMs` milliseconds, or drips, ends with 408, so that
 * nobody holds a temporary file for nothing. Whoever stops reading early can still answer: what becomes of the rest is the
 * business of the connection (`lingering_close.ts`). A body that our edge passes on without a length must end with the word
 * that proves it whole (`shared/http/body_end`), or ends with 400; one in a transfer coding other than chunked is 501.
 */
export function bodyOf(request: FastifyRequest, idleMs: number): AsyncIterable<Uint8Array> {
  const coding = headerOf(request, "transfer-encoding");
  const arriving = arrivingBody(request, idleMs, coding);
  const word = bodyEndOf(request);
  if (word) return takeBodyEnd(arriving, bodyEndBytes(word), broken);
  if (request.context.fromEdge && coding !== undefined) throw broken();
  return arriving;
}

async function* arrivingBody(
  request: FastifyRequest,
  idleMs: number,
  coding: string | undefined,
): AsyncGenerator<Uint8Array> {
  if (coding !== undefined && coding.toLowerCase() !== "chunked") throw unknownCoding();
  const source = (request.body as IncomingMessage | undefined) ?? request.raw;
  const { outcome } = request;
  const chunks: AsyncIterator<Uint8Array> = source.iterator({ destroyOnReturn: false });
  request.context.askForBody();
  let giveUp: ((error: Error) => void) | undefined;
  let arrived = 0;
  // Who does not read at the moment has nobody to blame: only a read that waits is given up.
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
      outcome.received(chunk.value.byteLength);
      yield chunk.value;
    }
    // Whatever ended it: a body that the parser has not seen to its end is not whole.
    if (!source.complete) throw broken();
  } finally {
    clearInterval(timer);
    // A read that was given up cannot be ended before a chunk comes.
    if (!giveUp) await chunks.return?.();
  }
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

/** The word at the end of a body from our edge; a proxy on the way may have given the whole of it a length. */
function bodyEndOf(request: FastifyRequest): string | undefined {
  return request.context.fromEdge ? headerOf(request, BODY_END_HEADER) : undefined;
}

/** The length that the sender announced, in bytes; `undefined` for a chunked body. */
export function declaredBytesOf(request: FastifyRequest): number | undefined {
  if (bodyEndOf(request)) return undefined;
  const header = headerOf(request, "content-length");
  if (header === undefined) return undefined;
  const bytes = Number(header);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined;
}
