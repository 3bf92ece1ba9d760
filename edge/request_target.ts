/** Longest target, in characters. It travels to the origin twice, in the request line and in the signed hop. */
export const MAX_TARGET_LENGTH = 16_384;

/** A dot segment, also in the encoded forms that the URL standard resolves; or a backslash, which it takes for a slash. */
const ALTERED_BY_URL = /\/(?:\.|%2e){1,2}(?=\/|$)|\\/i;

/**
 * Path and query as the client sent them, from `request.url`. workerd hands those bytes on (it resolves plain dot segments, as
 * every HTTP client already has); nothing is decoded here. A fragment has no place in a target (RFC 9112 §3.2) and is dropped.
 */
export function rawTarget(url: string): string {
  const path = url.indexOf("/", url.indexOf("://") + 3);
  return path < 0 ? "/" : (url.slice(path).split("#", 1)[0] ?? "/");
}

/**
 * The target in the form that `fetch` really sends, so that what is signed is what the origin sees: characters that no URL may
 * hold are percent-encoded in it, and nothing else is touched. `undefined` where the path cannot be sent as it is, because the
 * URL standard would resolve a dot segment or turn a backslash into a slash: such a path would reach another endpoint.
 */
export function sendableTarget(target: string): string | undefined {
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  if (ALTERED_BY_URL.test(path)) return undefined;
  return new URL(`http://origin.invalid${path}`).pathname + (mark < 0 ? "" : sendableQuery(target.slice(mark)));
}

/** The query of a hop stays as it is but for what no header could carry. */
function sendableQuery(query: string): string {
  return query.replace(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()));
}
