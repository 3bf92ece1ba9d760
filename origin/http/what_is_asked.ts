import { isPart } from "../../shared/http/byte_range.ts";
import type { Asked } from "../access/limits/limits.ts";
import type { RequestContext } from "./request/request_context.ts";
import type { Limited } from "./route.ts";

/** So many ranges of one media count as one request for it: a player that is scrubbed, a download over many connections. */
const RANGES_PER_REQUEST = 32;

const SIZE = ["width", "height", "method", "animated"];

/**
 * What counts as the same thing: the path and, for a thumbnail, which one of the media it is. A range is a small part of a request for
 * it, so that all ranges of a download are about one; what they hold is charged in bytes, and each is a request among all others.
 */
export function whatIsAsked(request: RequestContext, limit: Exclude<Limited, "none">): Asked {
  const { path, query } = request;
  if (limit === "thumbnail")
    return { what: `${path}?${SIZE.map((name) => query.get(name) ?? "").join("&")}`, weight: 1 };
  const isRange = limit === "download" && request.method === "GET" && isPart(request.header("range"));
  return { what: path, weight: isRange ? 1 / RANGES_PER_REQUEST : 1 };
}
