import { HOP_PATHS, HOP_PREFIX } from "../shared/tiers/hop.ts";

/**
 * Path and query as the client sent them, from `request.url`. workerd hands those bytes on (it resolves plain dot segments, as
 * every HTTP client already has); nothing is decoded here, and a `#` is as good or bad a character as at the origin.
 */
export function rawTarget(url: string): string {
  const path = url.indexOf("/", url.indexOf("://") + 3);
  return path < 0 ? "/" : url.slice(path);
}

/** Whether a target is of characters that a request line can have; the origin's HTTP parser refuses others. */
export function isReadable(target: string): boolean {
  return /^[\x21-\x7e]+$/.test(target);
}

/**
 * Path and query for the URL of a hop: the target itself where `fetch` sends its path as it is. Where the URL standard would make
 * another path of it (it resolves encoded dot segments, turns backslashes into slashes and encodes what no URL may hold), the path
 * that stands for whatever is signed.
 */
export function urlTarget(target: string): string {
  const path = pathOf(target);
  return new URL(`http://origin.invalid${path}`).pathname === path ? target : HOP_PATHS.forward;
}

/** The origin's router decodes nothing and merges no slashes; a client that tries it with either is not even passed on. */
export function isInternal(target: string): boolean {
  return pathOf(target).replace(/%5f/gi, "_").replace(/^\/+/, "/").toLowerCase().startsWith(HOP_PREFIX);
}

/**
 * The URL that routes are found by: only the path, with everything in it encoded that a URL would decode, resolve or leave out
 * (the origin's router takes it as it is, too).
 */
export function routableUrl(target: string): string {
  return `http://edge.invalid${pathOf(target).replace(/[%\\#]/g, encodeURIComponent)}`;
}

function pathOf(target: string): string {
  return target.split("?", 1)[0] ?? "";
}
