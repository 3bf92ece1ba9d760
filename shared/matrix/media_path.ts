import { normaliseFileName } from "../http/disposition.ts";
import { MatrixError } from "./matrix_error.ts";
import { isMediaId, type Mxc } from "./mxc.ts";
import { isServerName } from "./server_name.ts";

/** A request for bytes. `authenticated`: on one of the paths that need a token. */
export type MediaRoute =
  | { kind: "download"; mxc: Mxc; fileName?: string; authenticated: boolean }
  | { kind: "thumbnail"; mxc: Mxc; authenticated: boolean };

/** The authenticated path of 1.11, and the legacy one under all names that it ever had. */
const MEDIA_PATH = /^\/_matrix\/(client\/v1\/media|media\/(?:v3|r0|v1))\/(download|thumbnail)\/(.*)$/;

/**
 * Recognises the GET routes of downloads and thumbnails in a raw request target (path and query as they came); undefined for any other.
 * Each segment is percent-decoded once, so that `%2e%2e` fails the grammar of ids. A file name that is none (`%2e%2e`, say) is as good as
 * absent. Plain dots in its place are read as every HTTP client and the edge's runtime read them, which leave another path.
 * Throws M_INVALID_PARAM (400) for a broken percent-encoding and for what is no server name or media id.
 */
export function parseMediaTarget(target: string): MediaRoute | undefined {
  const path = target.split("?", 1)[0] ?? "";
  const [, prefix, kind, rest = ""] = MEDIA_PATH.exec(path) ?? [];
  const segments = withoutDots(rest.split("/"));
  const authenticated = prefix === "client/v1/media";
  if (kind === "thumbnail" && segments.length === 2) return { kind, mxc: parseIds(segments), authenticated };
  if (kind !== "download" || segments.length > 3 || segments.length < 2 || segments[2] === "") return undefined;
  const mxc = parseIds(segments);
  const fileName = normaliseFileName(decode(segments[2] ?? ""));
  return fileName === undefined ? { kind, mxc, authenticated } : { kind, mxc, fileName, authenticated };
}

/** In the place of a file name: `a/b/.` is `a/b/`, and `a/b/..` is `a/` (RFC 3986, section 5.2.4). */
function withoutDots(segments: readonly string[]): readonly string[] {
  const [server = "", mediaId = "", fileName] = segments;
  if (segments.length !== 3 || (fileName !== "." && fileName !== "..")) return segments;
  return fileName === "." ? [server, mediaId, ""] : [server, ""];
}

function parseIds(segments: readonly string[]): Mxc {
  const serverName = decode(segments[0] ?? "");
  const mediaId = decode(segments[1] ?? "");
  if (!isServerName(serverName)) throw new MatrixError("M_INVALID_PARAM", "Invalid server name");
  if (!isMediaId(mediaId)) throw new MatrixError("M_INVALID_PARAM", "Invalid media id");
  return { serverName, mediaId };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new MatrixError("M_INVALID_PARAM", "Malformed percent-encoding in the path", { cause });
  }
}
