import type { FastifyReply, FastifyRequest } from "fastify";
import { answerFederation } from "../../../shared/http/federation_answer.ts";
import type { Charge } from "../../access/limits/limits.ts";
import type { Servable } from "../../media/download/servable.ts";
import type { OpenShared } from "../../media/download/shared_read.ts";
import { lost } from "../../stores/objects/store_trouble.ts";
import { settleWhenSent } from "../limit.ts";
import { writeBody } from "./write.ts";

/** What {@link replyMultipart} is told beside the media. */
export interface MultipartOptions {
  readonly boundary: string;
  readonly open: OpenShared;
  /** Charges so many bytes to whoever asked, before any is sent. */
  readonly charge: (bytes: number) => Promise<Charge>;
}

/**
 * Answers another server with media, by `shared/http/federation_answer` (the edge uses the same).
 */
export async function replyMultipart(
  request: FastifyRequest,
  reply: FastifyReply,
  servable: Servable,
  options: MultipartOptions,
): Promise<void> {
  const { signal } = request.context;
  const answer = answerFederation(options.boundary, servable.media);
  const charge = await options.charge(answer.bytes);
  const bytes = await opened(options.open, servable, signal).catch(async (error) => {
    await charge.settle(0);
    throw error;
  });
  settleWhenSent(reply, charge);
  await writeBody(reply, 200, answer.headers, bytes, (source) =>
    framedBody(answer, whole(source, servable.media.size)),
  );
}

async function opened(open: OpenShared, servable: Servable, signal: AbortSignal) {
  const bytes = await open(servable, signal);
  if (bytes) return bytes;
  throw lost(servable.media);
}

async function* framedBody(
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
