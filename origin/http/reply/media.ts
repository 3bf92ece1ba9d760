import { randomBytes } from "node:crypto";
import type { FastifyReply } from "fastify";
import { CONDITIONS } from "../../../shared/http/conditional.ts";
import { answerFederation, formatBoundary } from "../../../shared/http/federation_answer.ts";
import { answerArriving, answerMedia } from "../../../shared/http/media_answer.ts";
import type { Counted } from "../../access/limits/counted.ts";
import type { Charge, Limits } from "../../access/limits/limits.ts";
import type { HotBodies } from "../../media/download/hot_bodies.ts";
import type { Arriving, Servable } from "../../media/download/servable.ts";
import type { OpenShared } from "../../media/download/shared_read.ts";
import { LostObject } from "../../stores/objects/store_trouble.ts";
import type { RequestContext } from "../request/request_context.ts";
import { writeBody, writeHead, writeSlice } from "./write.ts";

/**
 * Answers with media. What is sent is charged before, and what of it the connection has not taken is given back when it has ended.
 * Errors: 429, `LostObject` for a body that is not in its datastore; and those of the body, once the answer was begun.
 */

/** Who pays for the bytes. */
export interface Account {
  readonly limits: Pick<Limits, "chargeDownload">;
  readonly counted: Counted;
}

/**
 * Answers a client: conditionals, ranges and headers by `shared/http/media_answer` (the edge uses the same), the bytes straight
 * from the datastore. An open range is cut to `openRangeMaxBytes`.
 */
export async function replyFile(
  reply: FastifyReply,
  servable: Servable,
  options: Account & { readonly openRangeMaxBytes: number; readonly hotBodies: HotBodies },
): Promise<void> {
  const { context } = reply.request;
  const { media } = servable;
  const served = { ...media, openRangeMaxBytes: options.openRangeMaxBytes };
  const answer = answerMedia({ method: context.method, header: (name) => context.header(name) }, served);
  if (answer.status === 304 || context.method === "HEAD") return writeHead(reply, answer.status, answer.headers);
  const slice = answer.slice ?? { offset: 0, length: media.size };
  const body = await openCharged(reply, options, slice.length, async (signal) => {
    return (await options.hotBodies.open(servable, answer.slice, signal)) ?? missing(media);
  });
  if ("read" in body) await writeSlice(reply, answer, body, slice);
  else await writeBody(reply, answer.status, answer.headers, body);
}

/**
 * Passes media of another server on as it comes. Where its length was not announced the answer is chunked. A body that turns out
 * wrong breaks the connection, so that nobody takes what came of it for the whole.
 */
export async function replyArriving(reply: FastifyReply, arriving: Arriving, account: Account): Promise<void> {
  const { media, bytes, isCharged } = arriving;
  if (!isCharged) {
    const charging = account.limits.chargeDownload(account.counted, media.announcedBytes ?? 1);
    const charge = await charging.catch(async (error: unknown) => {
      await bytes.cancel();
      throw error;
    });
    settleWhenSent(reply, charge);
  }
  await writeBody(reply, 200, answerArriving(media), bytes);
}

/** Answers another server, by `shared/http/federation_answer` (the edge uses the same): all of it, whatever the headers ask for. */
export async function replyMultipart(
  reply: FastifyReply,
  servable: Servable,
  options: Account & { readonly openShared: OpenShared },
): Promise<void> {
  const { media } = servable;
  const answer = answerFederation(formatBoundary(randomBytes(16)), media);
  const bytes = await openCharged(reply, options, answer.bytes, async (signal) => {
    return (await options.openShared(servable, signal)) ?? missing(media);
  });
  await writeBody(reply, 200, answer.headers, bytes, (source) => framed(answer, whole(source, media.size)));
}

/** Headers that are judged by all of the media. */
const WHOLE_FIRST = ["range", ...CONDITIONS];

/**
 * Whether the answer to a request may begin before the media is here to its end: not that of a part of it, or of its headers alone;
 * nor one with a condition, which is judged by the entity tag.
 */
export function mayArrive(request: RequestContext): boolean {
  return request.method === "GET" && WHOLE_FIRST.every((name) => request.header(name) === undefined);
}

/**
 * Whether such an answer needs a length, since without one a broken connection would look like the end: to a client that takes
 * no chunks; and to our edge, because workerd ends its own chunked answer in good order when the one behind it breaks.
 */
export function needsLength(request: RequestContext): boolean {
  return request.fromEdge || !request.takesChunks;
}

/** Opens a body once it is charged. Where it cannot be opened, nothing is. */
async function openCharged<T>(
  reply: FastifyReply,
  { limits, counted }: Account,
  bytes: number,
  open: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const charge = await limits.chargeDownload(counted, bytes);
  try {
    const body = await open(reply.request.context.signal);
    settleWhenSent(reply, charge);
    return body;
  } catch (error) {
    await charge.settle(0);
    throw error;
  }
}

/** Settles a charge once the answer has ended, to what of its body the connection has taken. */
function settleWhenSent({ raw, request }: FastifyReply, charge: Charge): void {
  const { outcome, context } = request;
  const settle = () => {
    charge
      .settle(outcome.sentBytes)
      .catch((error: unknown) => context.log.warn({ error }, "cannot give back what was not sent"));
  };
  if (raw.closed) settle();
  else raw.once("close", settle);
}

function missing(media: Servable["media"]): never {
  throw new LostObject(media);
}

async function* framed(
  frame: { readonly head: Uint8Array; readonly tail: Uint8Array },
  media: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield frame.head;
  yield* media;
  yield frame.tail;
}

/** Throws instead of ending short or long: the length was promised in the headers. */
async function* whole(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of source) {
    sent += chunk.byteLength;
    if (sent > size) break;
    yield chunk;
  }
  if (sent !== size) throw new Error(`Cannot send a body of ${size} bytes: its object has another length`);
}
