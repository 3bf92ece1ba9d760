import type { FastifyReply, FastifyRequest } from "fastify";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import { answerMedia, type ServedMedia } from "../../../shared/http/media_answer.ts";
import type { Charge } from "../../access/limits/limits.ts";
import type { Servable } from "../../media/download/servable.ts";
import { lost } from "../../stores/objects/store_trouble.ts";
import { settleWhenSent } from "../limit.ts";
import { headerOf } from "../request/request_context.ts";
import { writeBody, writeHead } from "./write.ts";

/** What {@link replyMedia} is told beside the media. */
export interface ReplyOptions {
  readonly openRangeMaxBytes: number;
  /** Charges so many bytes to whoever asked, before any is sent. */
  readonly charge: (bytes: number) => Promise<Charge>;
}

/**
 * Answers with media: conditionals, ranges and headers by `shared/http/media_answer` (the edge uses the same), the bytes
 * straight from the datastore. Of the bytes that are charged, those not sent are given back.
 */
export async function replyMedia(
  request: FastifyRequest,
  reply: FastifyReply,
  servable: Servable,
  options: ReplyOptions,
): Promise<void> {
  const media: ServedMedia = { ...servable.media, openRangeMaxBytes: options.openRangeMaxBytes };
  const answer = answerMedia({ method: request.method, header: (name) => headerOf(request, name) }, media);
  if (answer.status === 304 || request.method === "HEAD") {
    return writeHead(reply, answer.status, answer.headers);
  }
  const { signal } = request.context;
  const length = answer.slice?.length ?? media.size;
  const charge = await options.charge(length);
  const bytes = await opened(servable, answer.slice, signal).catch(async (error) => {
    await charge.settle(0);
    throw error;
  });
  settleWhenSent(reply, charge);
  await writeBody(reply, answer.status, answer.headers, bytes);
}

async function opened(servable: Servable, slice: ByteSlice | undefined, signal: AbortSignal) {
  const bytes = await servable.open(slice, signal);
  if (bytes) return bytes;
  throw lost(servable.media);
}
