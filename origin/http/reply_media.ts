import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ByteSlice } from "../../shared/byte_range.ts";
import { MatrixError } from "../../shared/matrix_error.ts";
import { answerMedia, type ServedMedia } from "../../shared/media_answer.ts";
import type { Servable } from "../pipelines/download/servable.ts";
import type { Charge } from "../pipelines/limits/limits.ts";
import { settleWhenSent } from "./limit.ts";
import { headerOf } from "./request_context.ts";
import { writeBody, writeHead } from "./write.ts";

/** How long the last bytes of an answer to the edge may wait for the publication of the media, in milliseconds. */
const PUBLICATION_WAIT_MS = 5_000;

/** What {@link replyMedia} is told beside the media. */
export interface ReplyOptions {
  readonly published?: Promise<unknown> | undefined;
  readonly openRangeMaxBytes: number;
  /** Charges so many bytes to whoever asked, before any is sent. */
  readonly charge: (bytes: number) => Promise<Charge>;
}

/**
 * Answers with media: conditionals, ranges and headers by `shared/media_answer` (the edge uses the same), the bytes
 * straight from the datastore. `published` is what the edge needs for its next request to be a hit: the last bytes are
 * held back until it has settled (or a few seconds have passed). Of the bytes that are charged, those not sent are given back.
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
    await withinWait(options.published);
    return writeHead(reply, answer.status, answer.headers);
  }
  const { signal } = request.context;
  const length = answer.slice?.length ?? media.size;
  const charge = await options.charge(length);
  const bytes = await opened(servable, answer.slice, signal).catch(async (error) => {
    await charge.settle(0);
    throw error;
  });
  settleWhenSent(reply, length, charge);
  const body = Readable.fromWeb(bytes as import("node:stream/web").ReadableStream, { signal });
  const { published } = options;
  const held = published ? Readable.from(holdLast(body, published), { objectMode: false }) : body;
  await writeBody(reply, answer.status, answer.headers, held);
}

async function opened(servable: Servable, slice: ByteSlice | undefined, signal: AbortSignal) {
  const bytes = await servable.open(slice, signal);
  if (bytes) return bytes;
  throw new MatrixError("M_UNKNOWN", "Cannot read the media at the moment", { status: 503, retryAfterMs: 5_000 });
}

/** Passes everything on at once but for the last chunk, which waits for `until`. */
export async function* holdLast(
  source: AsyncIterable<Uint8Array>,
  until: Promise<unknown>,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined;
  for await (const chunk of source) {
    if (held) yield held;
    held = chunk;
  }
  await withinWait(until);
  if (held) yield held;
}

/** Waits for a publication, but no longer than a few seconds, whatever comes of it. */
export async function withinWait(published: Promise<unknown> | undefined): Promise<void> {
  if (!published) return;
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PUBLICATION_WAIT_MS);
  });
  await Promise.race([published.catch(() => undefined), waited]);
  clearTimeout(timer);
}
