import { parseRange } from "../../shared/byte_range.ts";
import type { LiveDescriptor } from "../../shared/descriptor.ts";
import { MatrixError } from "../../shared/matrix_error.ts";
import type { ServedMedia } from "../../shared/media_answer.ts";
import { type MediaRoute, parseMediaTarget } from "../../shared/media_path.ts";
import { parseMediaQuery } from "../../shared/media_query.ts";
import { descriptorKey, thumbnailKey } from "../../shared/object_key.ts";
import { parseThumbnailQuery, pickThumbnail } from "../../shared/thumbnail_size.ts";
import type { ForwardDetail, ForwardReason } from "../cache_status.ts";
import type { FindDescriptor, Found } from "../find_descriptor.ts";
import { demandToken, type FindViewer, type Viewer } from "../viewer.ts";
import { queryOf, type Visit } from "../visit.ts";

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

/**
 * Decides on a request for media by its token and the descriptor of the media, which are looked up at the same time; on a
 * thumbnail also by the descriptor of the thumbnail, which counts only while that of its media allows it.
 *
 * Errors: the refusal of the token, before anything else is said; 400 for ids or a query that are none; 404 `M_NOT_FOUND` for
 * media that is erased, quarantined, or frozen and asked for without a token: the same in all three cases.
 */
export function makeDecide({ findViewer, findDescriptor }: DecideParts): Decide {
  async function lookUp(visit: Visit) {
    const route = parseMediaTarget(visit.target);
    return route && { route, found: await findDescriptor(visit, descriptorKey(route.mxc), route.mxc) };
  }

  async function decideThumbnail(visit: Visit, route: Thumbnail, found: Found, viewer: Viewer): Promise<Decision> {
    const request = parseThumbnailQuery(queryOf(visit));
    const media = visibleOf(found, viewer);
    if (typeof media === "string") return unfound(media);
    if (!viewer.policy) return NO_POLICY;
    const { thumbnails, openRangeMaxBytes } = viewer.policy;
    const key = thumbnailKey(route.mxc, pickThumbnail(request, thumbnails, visit.request.headers.get("accept")));
    const thumbnail = await findDescriptor(visit, key, route.mxc);
    if (thumbnail === "unknown") return unfound(thumbnail);
    // Whether the media may be seen was said by its own descriptor; a thumbnail that is gone is made again by the origin.
    if (thumbnail === "absent" || thumbnail.gone || thumbnail.quarantined) return unfound("absent");
    return serve(thumbnail, { kind: "thumbnail", openRangeMaxBytes, variesByAccept: thumbnails.preferWebp });
  }

  return async (visit) => {
    demandToken(visit);
    const [viewing, looking] = await Promise.allSettled([findViewer(visit), lookUp(visit)]);
    // Whoever brings a bad token hears that, and nothing of the media: as at the origin.
    const viewer = settledValue(viewing);
    const looked = settledValue(looking);
    if (!looked) return { kind: "forward", reason: "bypass" };
    const { route, found } = looked;
    // Nothing of it matters to what lies here, but what is nonsense at the origin is nonsense here.
    parseMediaQuery(queryOf(visit), route.authenticated);
    return route.kind === "thumbnail"
      ? await decideThumbnail(visit, route, found, viewer)
      : decideDownload(visit, route, await withBody(visit, route, found), viewer);
  };

  /**
   * A descriptor that was published with a thumbnail has no body yet. The next thing that happens to it is that the origin
   * adds one, after the first download; the second is to find it, so what is kept is not enough here.
   */
  async function withBody(visit: Visit, route: Download, found: Found): Promise<Found> {
    if (typeof found === "string" || found.gone || found.body !== undefined) return found;
    return await findDescriptor(visit, descriptorKey(route.mxc), route.mxc, true);
  }
}

const NO_POLICY: Decision = { kind: "forward", reason: "bypass", detail: "no-policy" };

function decideDownload(visit: Visit, route: Download, found: Found, viewer: Viewer): Decision {
  const media = visibleOf(found, viewer);
  if (typeof media === "string") return unfound(media);
  if (!viewer.policy && endIsOpen(visit.request.headers.get("range"), media.size)) return NO_POLICY;
  return serve(media, {
    kind: "download",
    name: route.fileName ?? media.name,
    openRangeMaxBytes: viewer.policy?.openRangeMaxBytes ?? 0,
  });
}

function settledValue<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

/** The media that this viewer may see, or why nobody knows here. */
function visibleOf(found: Found, viewer: Viewer): LiveDescriptor | "absent" | "unknown" {
  if (typeof found === "string") return found;
  if (found.gone && found.again) return "absent";
  if (found.gone || found.quarantined || (found.frozen && !viewer.authenticated)) {
    throw new MatrixError("M_NOT_FOUND", "Media not found");
  }
  return found;
}

function unfound(why: "absent" | "unknown"): Decision {
  if (why === "absent") return { kind: "forward", reason: "uri-miss" };
  return { kind: "forward", reason: "bypass", detail: "store-error" };
}

function serve(
  descriptor: LiveDescriptor,
  how: Pick<ServedMedia, "kind" | "name" | "openRangeMaxBytes" | "variesByAccept">,
): Decision {
  const { type, size, sha256, created, body } = descriptor;
  if (body === undefined) return { kind: "forward", reason: "miss", detail: "no-body" };
  return { kind: "serve", media: { ...how, type, size, sha256, created }, bodyKey: body };
}

/** Whether the length of the answer depends on a policy: of a range without an end it does. */
function endIsOpen(range: string | null, size: number): boolean {
  const bounded = parseRange(range, size, 1);
  const unbounded = parseRange(range, size);
  return unbounded.kind === "slice" && bounded.kind === "slice" && unbounded.slice.length !== bounded.slice.length;
}
