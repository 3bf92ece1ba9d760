import { answerFederation, type FederationAnswer, formatBoundary } from "../../shared/http/federation_answer.ts";
import { Failure } from "../../shared/matrix/failure.ts";
import { type FederationRoute, parseFederationTarget, parseMediaQuery } from "../../shared/matrix/media_target.ts";
import type { Mxc } from "../../shared/matrix/mxc.ts";
import { parseThumbnailQuery, pickThumbnail, type ThumbnailRequest } from "../../shared/matrix/thumbnail_size.ts";
import type { Descriptor, LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import type { BucketReader } from "../bucket.ts";
import { CACHE_HIT } from "../cache/cache_status.ts";
import type { DocumentCache, Found } from "../cache/document_cache.ts";
import { SHARED_BODY_BYTES, type SharedBodies, type SharedBody } from "../cache/shared_bodies.ts";
import type { RemoteServer, RemoteServers } from "../decide/server.ts";
import type { EdgeRequest } from "../request.ts";
import type { SteadyClock } from "../steady_clock.ts";
import type { Forward } from "./forward.ts";

/** What answers other servers, or says that the origin must. */
export interface FederationRouteParts {
  readonly clock: SteadyClock;
  readonly servers: RemoteServers;
  /** The `d/` documents of the bucket. */
  readonly descriptors: DocumentCache<Descriptor>;
  readonly bucket: Pick<BucketReader, "readBody">;
  readonly bodies: SharedBodies;
  readonly forward: Forward;
}

/** What a request is about: an own media, or a thumbnail of it. */
interface Wanted {
  readonly kind: FederationRoute["kind"];
  readonly mxc: Mxc;
  /** Of a thumbnail. */
  readonly size: ThumbnailRequest | undefined;
}

/**
 * `GET` of media by other servers: judge the signature, then act. What lies in the bucket is wrapped here, by
 * `shared/http/federation_answer` as at the origin; everything else, whatever the reason, is the origin's to judge and to answer.
 *
 * A body of up to {@link SHARED_BODY_BYTES} is read once for all who want it at the same time; the bytes of a larger one never
 * pass through JavaScript.
 * Errors: 401 for a wrong signature; 400 for an invalid query; `absent` for media that is erased or quarantined.
 */
export function makeFederationRoute(parts: FederationRouteParts): (request: EdgeRequest) => Promise<Response> {
  const { clock, servers, descriptors, bucket, bodies, forward } = parts;

  async function find(request: EdgeRequest, wanted: Wanted, server: RemoteServer): Promise<LiveDescriptor | undefined> {
    const { keepAlive } = request;
    const media = visible(await descriptors.find(descriptorKey(wanted.mxc), keepAlive));
    if (!media || !wanted.size) return media;
    const key = thumbnailKey(wanted.mxc, pickThumbnail(wanted.size, server.policy.thumbnails));
    const thumbnail = await descriptors.find(key, keepAlive);
    // A thumbnail that is gone is made again by the origin: its media is there.
    return typeof thumbnail === "string" || thumbnail.gone || thumbnail.quarantined ? undefined : thumbnail;
  }

  async function serve(
    request: EdgeRequest,
    wanted: Wanted,
    descriptor: LiveDescriptor,
  ): Promise<Response | undefined> {
    const { type, name, size, sha256, created, body } = descriptor;
    if (body === undefined) return undefined;
    const random = crypto.getRandomValues(new Uint8Array(16));
    const answer = answerFederation(formatBoundary(random), { kind: wanted.kind, type, name, size, sha256, created });
    const content = await open(request, body, size);
    if (!content) return undefined;
    const headers = { ...answer.headers, "cache-status": CACHE_HIT };
    return new Response(wrap(request, answer, content), { status: 200, headers });
  }

  /** An error of the store is as good as an absent body: the origin has the bytes. */
  async function open(
    request: EdgeRequest,
    key: string,
    size: number,
  ): Promise<SharedBody | ReadableStream | undefined> {
    try {
      const shared = size <= SHARED_BODY_BYTES ? await bodies.share(key, size, clock(), request.keepAlive) : undefined;
      if (shared) return shared;
      const body = await bucket.readBody(key, undefined);
      if (body?.totalBytes === size) return body.bytes;
      await body?.bytes.cancel();
      return undefined;
    } catch {
      return undefined;
    }
  }

  return async (request) => {
    const server = await servers.judge(request);
    if (!server) return await forward(request);
    const wanted = parseWanted(request, server);
    if (!wanted) return await forward(request);
    const descriptor = await find(request, wanted, server);
    if (!descriptor) return await forward(request, "uri-miss");
    return (await serve(request, wanted, descriptor)) ?? (await forward(request, "miss", "no-body"));
  };
}

/** The signature comes first: without one, nothing is said of what else is wrong. */
function parseWanted(request: EdgeRequest, { destination }: RemoteServer): Wanted | undefined {
  const route = parseFederationTarget(request.target);
  if (!route) return undefined;
  const { query } = request;
  parseMediaQuery(query, true);
  const size = route.kind === "thumbnail" ? parseThumbnailQuery(query) : undefined;
  return { kind: route.kind, mxc: { serverName: destination, mediaId: route.mediaId }, size };
}

/** Frozen media is hidden from those who do not authenticate; this requester did. */
function visible(found: Found<Descriptor>): LiveDescriptor | undefined {
  if (typeof found === "string") return undefined;
  if (found.gone || found.quarantined) throw new Failure("absent", "Media not found");
  return found;
}

/**
 * The body between head and tail: a stream is pumped by the runtime; of bytes that others want too no copy is made. It errors
 * where the body does, or is not as long as it was said to be: then the connection breaks, and no reader takes part of it for
 * the whole.
 */
function wrap(
  request: EdgeRequest,
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
  request.keepAlive("release" in body ? ended.finally(body.release) : ended);
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
