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
 * Each segment is percent-decoded once, so that a file name may hold an encoded slash and `%2e%2e` fails the grammar.
 * Throws M_INVALID_PARAM (400) for a broken percent-encoding and for what is no server name or media id.
 */
export function parseMediaTarget(target: string): MediaRoute | undefined {
  const path = target.split("?", 1)[0] ?? "";
  const [, prefix, kind, rest = ""] = MEDIA_PATH.exec(path) ?? [];
  const segments = rest.split("/");
  const authenticated = prefix === "client/v1/media";
  if (kind === "thumbnail" && segments.length === 2) return { kind, mxc: parseIds(segments), authenticated };
  if (kind !== "download" || segments.length > 3 || segments.length < 2 || segments[2] === "") return undefined;
  const mxc = parseIds(segments);
  if (segments[2] === undefined) return { kind, mxc, authenticated };
  return { kind, mxc, fileName: decode(segments[2]), authenticated };
}

function parseIds(segments: string[]): Mxc {
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
