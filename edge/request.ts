import { type Credentials, readCredentials } from "../shared/matrix/access_token.ts";
import { HOP_PATHS, HOP_PREFIX } from "../shared/tiers/hop.ts";
import type { KeepAlive } from "./cache/flight.ts";

/** A request as the edge sees it, and the request target: path and query as the client sent them. */

/** What the edge adds to a request. */
export interface EdgeRequestOptions {
  readonly makeId: () => string;
  /** `CF-Connecting-IP` is Cloudflare's word, not the client's. */
  readonly trustConnectingIp: boolean;
}

/** One request on its way through the edge. What is derived from it is derived once, when it is first needed. */
export class EdgeRequest {
  readonly request: Request;
  /** Path and query as the client sent them. */
  readonly target: string;
  /** The `Host` the client asked for. */
  readonly host: string;
  readonly keepAlive: KeepAlive;
  readonly #options: EdgeRequestOptions;
  #requestId: string | undefined;
  #query: URLSearchParams | undefined;
  #credentials: { readonly read: Credentials | undefined } | undefined;

  constructor(request: Request, keepAlive: KeepAlive, options: EdgeRequestOptions) {
    this.request = request;
    this.target = rawTarget(request.url);
    this.host = request.headers.get("host") ?? "";
    this.keepAlive = keepAlive;
    this.#options = options;
  }

  /** Shared by the logs of both tiers. */
  get requestId(): string {
    this.#requestId ??= this.#options.makeId();
    return this.#requestId;
  }

  /** The client's address, or empty where no trustworthy header tells it. */
  get clientAddress(): string {
    return this.#options.trustConnectingIp ? (this.request.headers.get("cf-connecting-ip") ?? "") : "";
  }

  /** The query of the target. */
  get query(): URLSearchParams {
    const mark = this.target.indexOf("?");
    this.#query ??= new URLSearchParams(mark < 0 ? "" : this.target.slice(mark + 1));
    return this.#query;
  }

  /** The access token and whom it acts as; `undefined` without one. Errors: those of `readCredentials`. */
  credentials(): Credentials | undefined {
    this.#credentials ??= { read: readCredentials(this.request.headers.get("authorization"), this.query) };
    return this.#credentials.read;
  }
}

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
