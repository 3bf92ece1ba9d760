import { normaliseFileName } from "../http/content_headers.ts";
import { MatrixError } from "./matrix_error.ts";
import { isMediaId, type Mxc } from "./mxc.ts";
import { isServerName } from "./server_name.ts";

/** Which media a request target (path and query as they came) asks for, and how: the one declaration of these paths for both tiers. */

/** A request for bytes. `authenticated`: on one of the paths that need a token. */
export type MediaRoute =
  | { kind: "download"; mxc: Mxc; fileName?: string; authenticated: boolean }
  | { kind: "thumbnail"; mxc: Mxc; authenticated: boolean };

/** Where downloads and thumbnails need a token (since 1.11), and where they do not, under all names that those paths have had. */
export const MEDIA_PREFIXES = {
  authenticated: ["/_matrix/client/v1/media"],
  legacy: ["/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"],
} as const;

const MEDIA_PATH = new RegExp(
  `^(${MEDIA_PREFIXES.authenticated.join("|")}|${MEDIA_PREFIXES.legacy.join("|")})/(download|thumbnail)/(.*)$`,
);

/**
 * Recognises the GET routes of downloads and thumbnails in a raw request target (path and query as they came); undefined for any other.
 * Each segment is percent-decoded once, so that `%2e%2e` fails the grammar of ids. An invalid file name (`%2e%2e`, say) counts as
 * absent. Plain dots in its place are resolved, as every HTTP client and the edge's runtime do, and leave another path.
 * Throws M_INVALID_PARAM (400) for a broken percent-encoding, an invalid server name or an invalid media id.
 */
export function parseMediaTarget(target: string): MediaRoute | undefined {
  const path = target.split("?", 1)[0] ?? "";
  const [, prefix, kind, rest = ""] = MEDIA_PATH.exec(path) ?? [];
  const segments = withoutDots(rest.split("/"));
  const authenticated = MEDIA_PREFIXES.authenticated.some((one) => one === prefix);
  if (kind === "thumbnail" && segments.length === 2) return { kind, mxc: parseIds(segments), authenticated };
  if (kind !== "download" || segments.length > 3 || segments.length < 2 || segments[2] === "") return undefined;
  const mxc = parseIds(segments);
  const fileName = normaliseFileName(requireSegment(segments[2] ?? ""));
  return fileName === undefined ? { kind, mxc, authenticated } : { kind, mxc, fileName, authenticated };
}

/** In the place of a file name: `a/b/.` is `a/b/`, and `a/b/..` is `a/` (RFC 3986, section 5.2.4). */
function withoutDots(segments: readonly string[]): readonly string[] {
  const [server = "", mediaId = "", fileName] = segments;
  if (segments.length !== 3 || (fileName !== "." && fileName !== "..")) return segments;
  return fileName === "." ? [server, mediaId, ""] : [server, ""];
}

function parseIds(segments: readonly string[]): Mxc {
  const serverName = requireSegment(segments[0] ?? "");
  const mediaId = requireSegment(segments[1] ?? "");
  if (!isServerName(serverName)) throw new MatrixError("M_INVALID_PARAM", "Invalid server name");
  if (!isMediaId(mediaId)) throw new MatrixError("M_INVALID_PARAM", "Invalid media id");
  return { serverName, mediaId };
}

/** A segment of a path, percent-decoded once. Throws M_INVALID_PARAM (400) where its encoding is broken. */
export function requireSegment(segment: string): string {
  const text = decodeSegment(segment);
  if (text === undefined) throw new MatrixError("M_INVALID_PARAM", "Malformed percent-encoding in the path");
  return text;
}

/** A segment of a path, percent-decoded once; undefined where its encoding is broken. */
export function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** What another server asks for: one of the media of the server that is addressed, whose name is not in the path. */
export interface FederationRoute {
  readonly kind: "download" | "thumbnail";
  readonly mediaId: string;
}

/** Everything that the media endpoints of the Server-Server API have been called: since 1.11, and in the last draft of MSC3916. */
export const FEDERATION_PREFIXES = [
  "/_matrix/federation/v1/media",
  "/_matrix/federation/unstable/org.matrix.msc3916.v2/media",
] as const;

const FEDERATION_PATH = /^\/(download|thumbnail)\/([^/]+)$/;

/**
 * Recognises the media endpoints of the Server-Server API in a raw request target (path and query as they came); undefined for
 * any other. Throws 400 `M_INVALID_PARAM` for an invalid media id.
 */
export function parseFederationTarget(target: string): FederationRoute | undefined {
  const path = target.split("?", 1)[0] ?? "";
  const prefix = FEDERATION_PREFIXES.find((one) => path.startsWith(`${one}/`));
  const [, kind, segment = ""] = FEDERATION_PATH.exec(path.slice(prefix?.length ?? 0)) ?? [];
  if (prefix === undefined || (kind !== "download" && kind !== "thumbnail")) return undefined;
  const mediaId = decodeSegment(segment);
  if (mediaId === undefined || !isMediaId(mediaId)) throw new MatrixError("M_INVALID_PARAM", "Invalid media id");
  return { kind, mediaId };
}

/** What the query of a download or thumbnail says about how to get the media. */
export interface MediaQuery {
  /** Longest wait for media that is not uploaded yet, in milliseconds. */
  waitMs: number;
  /** Media of other servers may be fetched. */
  allowRemote: boolean;
  /** The answer may be a redirect to where the bytes are. */
  allowRedirect: boolean;
}

/** CS API, `timeout_ms`: the default of the specification, and our cap. */
const DEFAULT_WAIT_MS = 20_000;
const MAX_WAIT_MS = 60_000;

/**
 * Reads `timeout_ms`, `allow_remote` and `allow_redirect` (CS API; MSC2246, MSC3860; their unstable names too). The latter two
 * do not exist on the authenticated paths, which ignore them (MSC3916).
 *
 * A wait of 0 is no wait; one that is too long is cut. Errors: 400 `M_INVALID_PARAM` for anything but a whole number or boolean.
 */
export function parseMediaQuery(query: URLSearchParams, authenticated: boolean): MediaQuery {
  return {
    allowRemote: authenticated || parseBoolean(query, ["allow_remote"], true),
    allowRedirect: authenticated || parseBoolean(query, ["allow_redirect", "com.beeper.msc3860.allow_redirect"], false),
    waitMs: parseWait(firstValue(query, ["timeout_ms", "fi.mau.msc2246.timeout_ms"])),
  };
}

/**
 * A boolean of a query by the first of its names that has a value; `absent` when none has. All that Go reads as a boolean,
 * because matrix-media-repo's clients may send it. Errors: 400 `M_INVALID_PARAM`.
 */
export function parseBoolean<T>(query: URLSearchParams, names: readonly string[], absent: T): boolean | T {
  const text = firstValue(query, names);
  if (text === undefined) return absent;
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new MatrixError("M_INVALID_PARAM", `${names[0]} must be true or false`);
}

function parseWait(text: string | undefined): number {
  if (text === undefined) return DEFAULT_WAIT_MS;
  if (/^[0-9]+$/.test(text)) return Math.min(Number(text), MAX_WAIT_MS);
  throw new MatrixError("M_INVALID_PARAM", "timeout_ms must be a whole number of milliseconds");
}

function firstValue(query: URLSearchParams, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = query.get(name);
    if (value) return value;
  }
  return undefined;
}
