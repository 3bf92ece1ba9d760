import type { ServedMedia } from "../../shared/http/media_answer.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { type MediaRoute, parseMediaQuery, parseMediaTarget } from "../../shared/matrix/media_target.ts";
import { parseThumbnailQuery, pickThumbnail } from "../../shared/matrix/thumbnail_size.ts";
import type { LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import type { ForwardDetail, ForwardReason } from "../origin/cache_status.ts";
import { queryOf, type Visit } from "../visit.ts";
import type { FindDescriptor, Found } from "./find_descriptor.ts";
import { type FindViewer, isRefusedUnseen, type Viewer } from "./viewer.ts";

/** What to do with a request for media; a refusal is thrown. */
export type Decision =
  | { readonly kind: "serve"; readonly media: ServedMedia; readonly bodyKey: string }
  | { readonly kind: "forward"; readonly reason: ForwardReason; readonly detail?: ForwardDetail };

/** Decides on a request for media: see {@link makeDecide}. */
export type Decide = (visit: Visit) => Promise<Decision>;

/** What deciding needs. */
export interface DecideParts {
  readonly findViewer: FindViewer;
  readonly findDescriptor: FindDescriptor;
}

type Download = Extract<MediaRoute, { kind: "download" }>;
type Thumbnail = Extract<MediaRoute, { kind: "thumbnail" }>;
type Unfound = Extract<Found, string>;

/**
 * Decides on a request for media by who asks and the descriptor of the media, which are looked up at the same time; on a
 * thumbnail also by the descriptor of the thumbnail, which counts only while that of its media allows it.
 *
 * The descriptor of the media is what is looked at last: nearly always that is a look into the micro-cache, but where a homeserver
 * or the bucket took its time, what was read at first is read again, so that nothing is shown by what is older than two seconds.
 *
 * Errors: those of `FindViewer`, before anything else is said; 400 for ids or a query that are none; 404 `M_NOT_FOUND` for
 * media that is erased, quarantined, or frozen and asked for without a token: the same in all three cases.
 */
export function makeDecide({ findViewer, findDescriptor }: DecideParts): Decide {
  return async (visit) => {
    const [viewing, looking] = await Promise.allSettled([
      findViewer(visit),
      isRefusedUnseen(visit) ? undefined : lookUp(visit),
    ]);
    // Whoever brings a bad token hears that, and nothing of the media: as at the origin.
    const viewer = settledValue(viewing);
    const looked = settledValue(looking);
    if (!looked) return { kind: "forward", reason: "bypass" };
    const { route, found } = looked;
    // Nothing of it matters to what lies here, but what is nonsense at the origin is nonsense here.
    parseMediaQuery(queryOf(visit), route.authenticated);
    return route.kind === "thumbnail"
      ? await decideThumbnail(visit, route, found, viewer)
      : await decideDownload(visit, route, found, viewer);
  };

  async function lookUp(visit: Visit) {
    const route = parseMediaTarget(visit.target);
    return route && { route, found: await findMedia(visit, route) };
  }

  async function findMedia(visit: Visit, { mxc }: MediaRoute, asItIsNow = false): Promise<Found> {
    return await findDescriptor(visit, descriptorKey(mxc), mxc, asItIsNow);
  }

  async function decideDownload(visit: Visit, route: Download, first: Found, viewer: Viewer): Promise<Decision> {
    if (isFinal(first)) return unfound(first);
    const media = visibleOf(await findMedia(visit, route, lacksBody(first)), viewer);
    if (typeof media === "string") return unfound(media);
    const { openRangeMaxBytes } = viewer.policy;
    return serve(media, { kind: "download", name: route.fileName ?? media.name, openRangeMaxBytes });
  }

  async function decideThumbnail(visit: Visit, route: Thumbnail, first: Found, viewer: Viewer): Promise<Decision> {
    const request = parseThumbnailQuery(queryOf(visit));
    if (isFinal(first)) return unfound(first);
    const { thumbnails, openRangeMaxBytes } = viewer.policy;
    const key = thumbnailKey(route.mxc, pickThumbnail(request, thumbnails, visit.request.headers.get("accept")));
    const thumbnail = await findDescriptor(visit, key, route.mxc);
    const media = visibleOf(await findMedia(visit, route), viewer);
    if (typeof media === "string") return unfound(media);
    if (typeof thumbnail === "string") return unfound(thumbnail);
    // Whether the media may be seen was said by its own descriptor; a thumbnail that is gone is made again by the origin.
    if (thumbnail.gone || thumbnail.quarantined) return unfound("absent");
    return serve(thumbnail, { kind: "thumbnail", openRangeMaxBytes, variesByAccept: thumbnails.preferWebp });
  }
}

function settledValue<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

/** Whether it makes no sense to look again. A bucket that was slow gets another chance. */
function isFinal(found: Found): found is "absent" | "unknown" {
  return found === "absent" || found === "unknown";
}

/**
 * A descriptor that was published with a thumbnail has no body yet. The next thing that happens to it is that the origin
 * adds one, after the first download; the second is to find it, so what is kept is not enough here.
 */
function lacksBody(found: Found): boolean {
  return typeof found !== "string" && !found.gone && found.body === undefined;
}

/** The media that this viewer may see, or why nobody knows here. */
function visibleOf(found: Found, viewer: Viewer): LiveDescriptor | Unfound {
  if (typeof found === "string") return found;
  if (found.gone && found.again) return "absent";
  if (found.gone || found.quarantined || (found.frozen && !viewer.authenticated)) {
    throw new MatrixError("M_NOT_FOUND", "Media not found");
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
