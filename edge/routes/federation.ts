import { answerFederation, type FederationAnswer, formatBoundary } from "../../shared/http/federation_answer.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { type FederationRoute, parseFederationTarget, parseMediaQuery } from "../../shared/matrix/media_target.ts";
import type { Mxc } from "../../shared/matrix/mxc.ts";
import { parseThumbnailQuery, pickThumbnail, type ThumbnailRequest } from "../../shared/matrix/thumbnail_size.ts";
import type { LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import type { BucketReader } from "../bucket.ts";
import { SHARED_BODY_BYTES, type ShareBody, type SharedBody } from "../cache/shared_bodies.ts";
import type { FindDescriptor, Found } from "../decide/find_descriptor.ts";
import type { JudgeServer, Visitor } from "../decide/server_auth.ts";
import { CACHE_HIT } from "../origin/cache_status.ts";
import type { SteadyClock } from "../steady_clock.ts";
import { queryOf, type Visit } from "../visit.ts";
import type { Forward } from "./forward.ts";

/** What the federation routes need. */
export interface FederationRouteParts {
  readonly clock: SteadyClock;
  readonly judgeServer: JudgeServer;
  readonly findDescriptor: FindDescriptor;
  readonly bucket: Pick<BucketReader, "readBody">;
  readonly shareBody: ShareBody;
  readonly forward: Forward;
}

/** What a request is about: an own media, or a thumbnail of it. */
interface Wanted {
  readonly kind: FederationRoute["kind"];
  readonly mxc: Mxc;
  /** Of a thumbnail. */
  readonly request: ThumbnailRequest | undefined;
}

/**
 * `GET` of media by other servers: judge the signature, then act. What lies in the bucket is wrapped here, by
 * `shared/http/federation_answer` as at the origin; everything else, whatever the reason, is the origin's to judge and to answer.
 *
 * A body of up to {@link SHARED_BODY_BYTES} is read once for all who want it at the same time; the bytes of a larger one never
 * pass through JavaScript.
 * Errors: 401 for a wrong signature; 400 for a query that is none; 404 for media that is erased or quarantined.
 */
export function makeFederationRoute(parts: FederationRouteParts): (visit: Visit) => Promise<Response> {
  const { clock, judgeServer, findDescriptor, bucket, shareBody, forward } = parts;

  async function find(visit: Visit, wanted: Wanted, visitor: Visitor): Promise<LiveDescriptor | undefined> {
    const media = visible(await findDescriptor(visit, descriptorKey(wanted.mxc), wanted.mxc));
    if (!media || !wanted.request) return media;
    const key = thumbnailKey(wanted.mxc, pickThumbnail(wanted.request, visitor.policy.thumbnails));
    const thumbnail = await findDescriptor(visit, key, wanted.mxc);
    // A thumbnail that is gone is made again by the origin: its media is there.
    return typeof thumbnail === "string" || thumbnail.gone || thumbnail.quarantined ? undefined : thumbnail;
  }

  async function serve(visit: Visit, wanted: Wanted, descriptor: LiveDescriptor): Promise<Response | undefined> {
    const { type, name, size, sha256, created, body } = descriptor;
    if (body === undefined) return undefined;
    const random = crypto.getRandomValues(new Uint8Array(16));
    const answer = answerFederation(formatBoundary(random), { kind: wanted.kind, type, name, size, sha256, created });
    const content = await open(visit, body, size);
    if (!content) return undefined;
    const headers = { ...answer.headers, "cache-status": CACHE_HIT };
    return new Response(wrap(visit, answer, content), { status: 200, headers });
  }

  /** An error of the store is as good as an absent body: the origin has the bytes. */
  async function open(visit: Visit, key: string, size: number): Promise<SharedBody | ReadableStream | undefined> {
    try {
      const shared = size <= SHARED_BODY_BYTES ? await shareBody(key, size, clock(), visit.keepAlive) : undefined;
      if (shared) return shared;
      const body = await bucket.readBody(key, undefined);
      if (body?.totalBytes === size) return body.bytes;
      await body?.bytes.cancel();
      return undefined;
    } catch {
      return undefined;
    }
  }

  return async (visit) => {
    const visitor = await judgeServer(visit);
    if (!visitor) return await forward(visit);
    const wanted = parseWanted(visit, visitor);
    if (!wanted) return await forward(visit);
    const descriptor = await find(visit, wanted, visitor);
    if (!descriptor) return await forward(visit, "uri-miss");
    return (await serve(visit, wanted, descriptor)) ?? (await forward(visit, "miss", "no-body"));
  };
}

/** The signature comes first: without one nobody hears what else is wrong. */
function parseWanted(visit: Visit, { destination }: Visitor): Wanted | undefined {
  const route = parseFederationTarget(visit.target);
  if (!route) return undefined;
  const query = queryOf(visit);
  parseMediaQuery(query, true);
  const request = route.kind === "thumbnail" ? parseThumbnailQuery(query) : undefined;
  return { kind: route.kind, mxc: { serverName: destination, mediaId: route.mediaId }, request };
}

/** Frozen media is hidden from those who do not authenticate; this visitor did. */
function visible(found: Found): LiveDescriptor | undefined {
  if (typeof found === "string") return undefined;
  if (found.gone || found.quarantined) throw new MatrixError("M_NOT_FOUND", "Media not found");
  return found;
}

/**
 * The body between head and tail: a stream is pumped by the runtime; of bytes that others want too no copy is made. It errors
 * where the body does, or is not as long as it was said to be: then the connection breaks, and nobody takes part of it for
 * the whole.
 */
function wrap(
  visit: Visit,
  { head, tail, bytes }: FederationAnswer,
  body: SharedBody | ReadableStream<Uint8Array>,
): ReadableStream {
  const { readable, writable } = new FixedLengthStream(bytes);
  const pump = async () => {
    if ("release" in body) return await write(writable, [head, body.bytes, tail]);
    await write(writable, [head]);
    await body.pipeTo(writable, { preventClose: true });
    await write(writable, [tail]);
  };
  // Who stops reading ends the pump; there is nothing to report then.
  const ended = pump()
    .then(() => writable.close())
    .catch((reason) => writable.abort(reason).catch(() => undefined));
  visit.keepAlive("release" in body ? ended.finally(body.release) : ended);
  return readable;
}

async function write(writable: WritableStream<Uint8Array>, chunks: readonly Uint8Array[]): Promise<void> {
  const writer = writable.getWriter();
  try {
    for (const chunk of chunks) if (chunk.byteLength > 0) await writer.write(chunk);
  } finally {
    writer.releaseLock();
  }
}
