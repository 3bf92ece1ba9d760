import type { ServedMedia } from "../../shared/http/media_answer.ts";
import { Failure } from "../../shared/matrix/failure.ts";
import { type MediaRoute, parseMediaQuery, parseMediaTarget } from "../../shared/matrix/media_target.ts";
import { parseThumbnailQuery, pickThumbnail } from "../../shared/matrix/thumbnail_size.ts";
import type { Descriptor, LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import type { ForwardDetail, ForwardReason } from "../cache/cache_status.ts";
import type { DocumentCache, Found } from "../cache/document_cache.ts";
import type { EdgeRequest } from "../request.ts";
import { findRequester, type Identities, lacksToken, type Requester } from "./requester.ts";

/** What to do with a request for media; a refusal is thrown. */
export type Decision =
  | { readonly kind: "serve"; readonly media: ServedMedia; readonly bodyKey: string }
  | { readonly kind: "forward"; readonly reason: ForwardReason; readonly detail?: ForwardDetail };

/** What a decision rests on. */
export interface MediaDecisionParts extends Identities {
  /** The `d/` documents of the bucket. */
  readonly descriptors: Pick<DocumentCache<Descriptor>, "find">;
}

type Download = Extract<MediaRoute, { kind: "download" }>;
type Thumbnail = Extract<MediaRoute, { kind: "thumbnail" }>;
type Unfound = Extract<Found<Descriptor>, string>;

/**
 * Decides on a request for media by who asks and the descriptor of the media, which are looked up at the same time; on a
 * thumbnail also by the descriptor of the thumbnail, which counts only while that of its media allows it.
 *
 * The descriptor of the media is what is looked at last: nearly always that is a look into the micro-cache, but where a homeserver
 * or the bucket took its time, what was read at first is read again, so that nothing is shown by what is older than two seconds.
 *
 * Errors: those of `findRequester`, before anything else is said; 400 for invalid ids or an invalid query; `absent` for media
 * that is erased, quarantined, or frozen and asked for without a token: the same in all three cases.
 */
export class MediaDecision {
  readonly #parts: MediaDecisionParts;

  constructor(parts: MediaDecisionParts) {
    this.#parts = parts;
  }

  /** What to do with a request whose path is of the media routes. */
  async decide(request: EdgeRequest): Promise<Decision> {
    const [asking, looking] = await Promise.allSettled([
      findRequester(request, this.#parts),
      lacksToken(request) ? undefined : this.#lookUp(request),
    ]);
    // A bad token is refused before anything is said of the media, as at the origin.
    const requester = settledValue(asking);
    const looked = settledValue(looking);
    if (!looked) return { kind: "forward", reason: "bypass" };
    const { route, found } = looked;
    // Its values do not matter to what lies here: reject invalid queries exactly as the origin does.
    parseMediaQuery(request.query, route.authenticated);
    return route.kind === "thumbnail"
      ? await this.#decideThumbnail(request, route, found, requester)
      : await this.#decideDownload(request, route, found, requester);
  }

  async #lookUp(request: EdgeRequest) {
    const route = parseMediaTarget(request.target);
    return route && { route, found: await this.#find(request, descriptorKey(route.mxc)) };
  }

  async #find({ keepAlive }: EdgeRequest, key: string, fresh = false): Promise<Found<Descriptor>> {
    return await this.#parts.descriptors.find(key, keepAlive, { fresh });
  }

  async #decideDownload(
    request: EdgeRequest,
    route: Download,
    first: Found<Descriptor>,
    requester: Requester,
  ): Promise<Decision> {
    if (isFinal(first)) return unfound(first);
    const media = visibleOf(await this.#find(request, descriptorKey(route.mxc), lacksBody(first)), requester);
    if (typeof media === "string") return unfound(media);
    const { openRangeMaxBytes } = requester.policy;
    return serve(media, { kind: "download", name: route.fileName ?? media.name, openRangeMaxBytes });
  }

  async #decideThumbnail(
    request: EdgeRequest,
    route: Thumbnail,
    first: Found<Descriptor>,
    requester: Requester,
  ): Promise<Decision> {
    const wanted = parseThumbnailQuery(request.query);
    if (isFinal(first)) return unfound(first);
    const { thumbnails, openRangeMaxBytes } = requester.policy;
    const spec = pickThumbnail(wanted, thumbnails, request.request.headers.get("accept"));
    const thumbnail = await this.#find(request, thumbnailKey(route.mxc, spec));
    const media = visibleOf(await this.#find(request, descriptorKey(route.mxc)), requester);
    if (typeof media === "string") return unfound(media);
    if (typeof thumbnail === "string") return unfound(thumbnail);
    // The media's own descriptor says whether it may be seen; the origin makes a removed thumbnail again.
    if (thumbnail.gone || thumbnail.quarantined) return unfound("absent");
    return serve(thumbnail, { kind: "thumbnail", openRangeMaxBytes, variesByAccept: thumbnails.preferWebp });
  }
}

function settledValue<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

/** Whether it makes no sense to look again. A bucket that was slow gets another chance. */
function isFinal(found: Found<Descriptor>): found is "absent" | "unknown" {
  return found === "absent" || found === "unknown";
}

/**
 * A descriptor that was published with a thumbnail has no body yet. The next thing that happens to it is that the origin
 * adds one, after the first download; the second is to find it, so what is kept is not enough here.
 */
function lacksBody(found: Found<Descriptor>): boolean {
  return typeof found !== "string" && !found.gone && found.body === undefined;
}

/** The media that this requester may see, or why it is not known here. */
function visibleOf(found: Found<Descriptor>, requester: Requester): LiveDescriptor | Unfound {
  if (typeof found === "string") return found;
  if (found.gone && found.again) return "absent";
  if (found.gone || found.quarantined || (found.frozen && !requester.authenticated)) {
    throw new Failure("absent", "Media not found");
  }
  return found;
}

function unfound(why: Unfound): Decision {
  switch (why) {
    case "absent":
      return { kind: "forward", reason: "uri-miss" };
    case "unknown":
      return { kind: "forward", reason: "bypass", detail: "store-error" };
    case "late":
      return { kind: "forward", reason: "bypass", detail: "store-slow" };
    default:
      return why satisfies never;
  }
}

function serve(
  descriptor: LiveDescriptor,
  how: Pick<ServedMedia, "kind" | "name" | "openRangeMaxBytes" | "variesByAccept">,
): Decision {
  const { type, size, sha256, created, body } = descriptor;
  if (body === undefined) return { kind: "forward", reason: "miss", detail: "no-body" };
  return { kind: "serve", media: { ...how, type, size, sha256, created }, bodyKey: body };
}
