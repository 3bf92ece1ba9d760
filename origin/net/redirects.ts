import { FetchError } from "./fetch_error.ts";

/** One request of a chain of redirects, and what may go on to the next. */

/** `operator`: the URL stands in the configuration and may be private. `public`: somebody else chose it, the guard decides. */
export type Reach = "operator" | "public";

/** Where to connect, and whom to ask there, when the URL's own host is not the whole answer (Matrix server discovery). */
export interface Via {
  /** Name or address to connect to. */
  readonly host: string;
  readonly port: number;
  /** The `Host` header, with a port only if the name in use has one. */
  readonly hostHeader: string;
  /** Name or address that the certificate must be valid for. */
  readonly tlsName: string;
}

/** A request that is to be sent. */
export interface Hop {
  readonly url: URL;
  readonly method: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly reach: Reach;
  readonly via: Via | undefined;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What another host may know of the request: nothing that proves who we are or who asked. */
const HARMLESS = new Set(["accept", "accept-language", "user-agent"]);

/** The URL without its fragment. Throws unless it is http(s) without user name and password. */
export function requireUrl(url: string | URL, httpsOnly = false): URL {
  const parsed = URL.parse(String(url));
  const secure = parsed?.protocol === "https:";
  if (!parsed || !(secure || (parsed.protocol === "http:" && !httpsOnly)) || parsed.username || parsed.password) {
    throw new FetchError(
      "url",
      `Cannot fetch this URL: ${httpsOnly ? "https" : "http or https"} without password is needed`,
    );
  }
  parsed.hash = "";
  return parsed;
}

/** Where an answer of `url` redirects to, `undefined` if nowhere. */
export function redirectTarget(
  url: URL | string,
  status: number,
  location: string | null | undefined,
): URL | undefined {
  if (!REDIRECTS.has(status) || location === undefined || location === null) return undefined;
  return URL.parse(location, String(url)) ?? undefined;
}

/**
 * The request that an answer redirects to, `undefined` if it redirects nowhere. Another host gets no credentials, no body, no `via`, and is
 * reached as `public`, since it was the answer that chose it.
 */
export function nextHop(hop: Hop, status: number, location: string | undefined): Hop | undefined {
  const url = redirectTarget(hop.url, status, location);
  if (!url) return undefined;
  const keepsBody = status === 307 || status === 308;
  const method = keepsBody || hop.method === "HEAD" ? hop.method : "GET";
  const body = keepsBody ? hop.body : undefined;
  if (url.origin === hop.url.origin) return { ...hop, url, method, body };
  const headers = Object.fromEntries(Object.entries(hop.headers).filter(([name]) => HARMLESS.has(name)));
  return { url, method, headers, body: undefined, reach: "public", via: undefined };
}
