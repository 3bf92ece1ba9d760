/** What an answer says of this cache (`Cache-Status`, RFC 9211). */

/**
 * Why a request went on to the origin (RFC 9211 §2.2): `bypass`, this cache never answers such a request, or could not decide;
 * `method`, the same because of the method; `uri-miss`, nothing is known of it here; `miss`, something is, but not its bytes.
 */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "miss";

/**
 * More about a forwarded request, for debugging (RFC 9211 §2.7): the bucket could not be read; took too long; or has no such
 * body, or another one than its descriptor says.
 */
export type ForwardDetail = "store-error" | "store-slow" | "no-body";

const CACHE = "mxcdn-edge";

/** The `Cache-Status` of an answer that the edge gave by itself. */
export const CACHE_HIT = `${CACHE}; hit`;

/** The `Cache-Status` of an answer that came from the origin. */
export function cacheForward(reason: ForwardReason, detail?: ForwardDetail): string {
  return `${CACHE}; fwd=${reason}${detail === undefined ? "" : `; detail=${detail}`}`;
}
