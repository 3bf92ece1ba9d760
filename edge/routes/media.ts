import type { ByteSlice } from "../../shared/http/byte_range.ts";
import { answerMedia, type ServedMedia } from "../../shared/http/media_answer.ts";
import type { BucketReader, StoredBody } from "../bucket.ts";
import { DeadlineExceeded } from "../cache/deadline.ts";
import type { Decide } from "../decide/decide_media.ts";
import { CACHE_HIT, type ForwardDetail } from "../origin/cache_status.ts";
import type { Visit } from "../visit.ts";
import type { Forward } from "./forward.ts";

/** What the media routes need. */
export interface MediaRouteParts {
  readonly decide: Decide;
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
export function makeMediaRoute({ decide, bucket, forward }: MediaRouteParts): (visit: Visit) => Promise<Response> {
  /** The answer, or why the body cannot be had here: the origin has it. */
  async function serve(visit: Visit, media: ServedMedia, bodyKey: string): Promise<Response | ForwardDetail> {
    const { method, headers: sent } = visit.request;
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

  return async (visit) => {
    const decision = await decide(visit);
    if (decision.kind === "forward") return await forward(visit, decision.reason, decision.detail);
    const served = await serve(visit, decision.media, decision.bodyKey);
    return typeof served === "string" ? await forward(visit, "miss", served) : served;
  };
}
