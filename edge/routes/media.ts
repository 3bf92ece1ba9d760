import type { ByteSlice } from "../../shared/http/byte_range.ts";
import { answerMedia, type ServedMedia } from "../../shared/http/media_answer.ts";
import type { BucketReader, StoredBody } from "../bucket.ts";
import { CACHE_HIT, type ForwardDetail } from "../cache/cache_status.ts";
import { DeadlineExceeded } from "../cache/deadline.ts";
import type { MediaDecision } from "../decide/media.ts";
import type { EdgeRequest } from "../request.ts";
import type { Forward } from "./forward.ts";

/** What answers media, or says who must. */
export interface MediaRouteParts {
  readonly decision: Pick<MediaDecision, "decide">;
  readonly bucket: Pick<BucketReader, "readBody">;
  readonly forward: Forward;
}

/**
 * `GET` and `HEAD` of downloads and thumbnails, on all their paths: decide, then act. What may be served and lies in the bucket
 * is served from there; everything else is the origin's to answer.
 *
 * A hit has exactly the headers that the origin would send (`shared/http/media_answer`), and `Cache-Status`. The bytes go from the
 * bucket to the client inside the runtime. (In front of the Worker, `wrangler dev` compresses texts for clients that accept it,
 * whatever their headers say; a local edge and Cloudflare do not, the latter because `Cache-Control` has `no-transform`.)
 * Errors: what the decision refuses, and 416.
 */
export function makeMediaRoute({
  decision,
  bucket,
  forward,
}: MediaRouteParts): (request: EdgeRequest) => Promise<Response> {
  /** The answer, or why the body cannot be had here: the origin has it. */
  async function serve(
    { request }: EdgeRequest,
    media: ServedMedia,
    bodyKey: string,
  ): Promise<Response | ForwardDetail> {
    const { method, headers: sent } = request;
    const { status, headers, slice } = answerMedia({ method, header: (name) => sent.get(name) }, media);
    const init = { status, headers: { ...headers, "cache-status": CACHE_HIT } };
    if (status === 304 || method === "HEAD") return new Response(null, init);
    const body = await open(bodyKey, slice, media.size);
    return typeof body === "string" ? body : new Response(body.bytes, init);
  }

  async function open(key: string, slice: ByteSlice | undefined, size: number): Promise<StoredBody | ForwardDetail> {
    try {
      const body = await bucket.readBody(key, slice);
      if (body?.totalBytes === size) return body;
      await body?.bytes.cancel();
      return "no-body";
    } catch (thrown) {
      return thrown instanceof DeadlineExceeded ? "store-slow" : "store-error";
    }
  }

  return async (request) => {
    const decided = await decision.decide(request);
    if (decided.kind === "forward") return await forward(request, decided.reason, decided.detail);
    const served = await serve(request, decided.media, decided.bodyKey);
    return typeof served === "string" ? await forward(request, "miss", served) : served;
  };
}
