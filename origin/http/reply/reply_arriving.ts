import type { FastifyReply, FastifyRequest } from "fastify";
import { CONDITIONS } from "../../../shared/http/conditional.ts";
import { answerArriving } from "../../../shared/http/media_answer.ts";
import type { Arriving } from "../../media/download/servable.ts";
import { settleWhenSent } from "../limit.ts";
import { headerOf } from "../request/request_context.ts";
import type { ReplyOptions } from "./reply_media.ts";
import { writeBody } from "./write.ts";

/** Headers that are judged by all of the media. */
const WHOLE_FIRST = ["range", ...CONDITIONS];

/**
 * Whether the answer to a request may begin before the media is here to its end: not that of a part of it, or of its headers alone;
 * nor one with a condition, which is judged by the entity tag.
 */
export function mayArrive(request: FastifyRequest): boolean {
  return request.method === "GET" && WHOLE_FIRST.every((name) => headerOf(request, name) === undefined);
}

/**
 * Whether such an answer needs a length, since without one a broken connection would look like the end: to HTTP/1.0, which has
 * no chunks; and to our edge, because workerd ends its own chunked answer in good order when the one behind it breaks.
 */
export function needsLength(request: FastifyRequest): boolean {
  const { httpVersionMajor, httpVersionMinor } = request.raw;
  return request.context.fromEdge || httpVersionMajor * 10 + httpVersionMinor < 11;
}

/**
 * Passes media of another server on as it comes. Where its length was not announced the answer is chunked. A body that turns out
 * wrong breaks the connection, so that nobody takes what came of it for the whole.
 */
export async function replyArriving(
  reply: FastifyReply,
  { media, bytes, isCharged }: Arriving,
  { charge }: Pick<ReplyOptions, "charge">,
): Promise<void> {
  const charged = isCharged
    ? undefined
    : await charge(media.announcedBytes ?? 1).catch(async (error) => {
        await bytes.cancel();
        throw error;
      });
  if (charged) settleWhenSent(reply, charged);
  await writeBody(reply, 200, answerArriving(media), bytes);
}
