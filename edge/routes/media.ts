import type { ByteSlice } from "../../shared/byte_range.ts";
import { answerMedia, type ServedMedia } from "../../shared/media_answer.ts";
import { CACHE_HIT } from "../cache_status.ts";
import type { BucketReader, StoredBody } from "../store.ts";
import type { Visit } from "../visit.ts";
import type { Decide, Decision } from "./decide_media.ts";
import type { Forward } from "./forward.ts";

/** What the media routes need. */
export interface MediaRouteParts {
  readonly clock: () => number;
  readonly decide: Decide;
  readonly bucket: Pick<BucketReader, "readBody">;
  readonly forward: Forward;
}

/** A decision that took longer, in milliseconds, may rest on a descriptor that has changed since, and is made again. */
const MAX_DECISION_MS = 1_000;

/** After as many slow decisions the origin answers. */
const MAX_DECISIONS = 3;

const TOO_SLOW: Decision = { kind: "forward", reason: "bypass", detail: "store-error" };

/**
 * `GET` and `HEAD` of downloads and thumbnails, on all their paths: decide, then act. What may be served and lies in the bucket
 * is served from there; everything else is the origin's to answer.
 *
 * A hit has exactly the headers that the origin would send (`shared/media_answer`), and `Cache-Status`. The bytes go from the
 * bucket to the client inside the runtime. (In front of the Worker, `wrangler dev` compresses texts for clients that accept it,
 * whatever their headers say; Cloudflare does not where `Cache-Control` has `no-transform`. The Worker itself never does.)
 * Errors: what the decision refuses, and 416.
 */
export function makeMediaRoute({
  clock,
  decide,
  bucket,
  forward,
}: MediaRouteParts): (visit: Visit) => Promise<Response> {
  /** What is read while a homeserver takes its time over the token would be too old when the token is judged. */
  async function decideSoon(visit: Visit): Promise<Decision> {
    for (let made = 0; made < MAX_DECISIONS; made += 1) {
      const begun = clock();
      const decision = await decide(visit);
      if (decision.kind === "forward" || clock() - begun < MAX_DECISION_MS) return decision;
    }
    return TOO_SLOW;
  }

  async function serve(visit: Visit, media: ServedMedia, bodyKey: string): Promise<Response | undefined> {
    const { method, headers: sent } = visit.request;
    const { status, headers, slice } = answerMedia({ method, header: (name) => sent.get(name) }, media);
    const init = { status, headers: { ...headers, "cache-status": CACHE_HIT } };
    if (status === 304 || method === "HEAD") return new Response(null, init);
    const body = await open(bodyKey, slice);
    if (body?.totalBytes === media.size) return new Response(body.bytes, init);
    await body?.bytes.cancel();
    return undefined;
  }

  /** An error of the store is as good as an absent body: the origin has the bytes. */
  async function open(key: string, slice: ByteSlice | undefined): Promise<StoredBody | undefined> {
    try {
      return await bucket.readBody(key, slice);
    } catch {
      return undefined;
    }
  }

  return async (visit) => {
    const decision = await decideSoon(visit);
    if (decision.kind === "forward") return await forward(visit, decision.reason, decision.detail);
    return (await serve(visit, decision.media, decision.bodyKey)) ?? (await forward(visit, "miss", "no-body"));
  };
}
