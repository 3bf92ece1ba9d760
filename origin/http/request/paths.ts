import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import {
  decodeSegment,
  type FederationRoute,
  type MediaRoute,
  parseFederationTarget,
  parseMediaTarget,
} from "../../../shared/matrix/media_target.ts";
import { isMediaId, type Mxc } from "../../../shared/matrix/mxc.ts";
import { isServerName } from "../../../shared/matrix/server_name.ts";
import { unrecognized } from "../errors.ts";
import type { PathOf } from "../route.ts";

/**
 * Readers of paths, for routes to declare. The router is kept from decoding (`routablePath`), so a segment is decoded here, once.
 * Errors: 400 `M_INVALID_PARAM`.
 */

/** The media and the file name of a download. */
export function downloadPath({ target }: PathOf): Extract<MediaRoute, { kind: "download" }> {
  const found = parseMediaTarget(target);
  if (found?.kind !== "download") throw unrecognized();
  return found;
}

/** The media of a thumbnail. */
export function thumbnailPath({ target }: PathOf): Extract<MediaRoute, { kind: "thumbnail" }> {
  const found = parseMediaTarget(target);
  if (found?.kind !== "thumbnail") throw unrecognized();
  return found;
}

/** The media that another server asks for. */
export function federationPath({ target }: PathOf): FederationRoute {
  const found = parseFederationTarget(target);
  if (!found) throw unrecognized();
  return found;
}

/** The media that a path of the form …/:serverName/:mediaId names. */
export function mxcPath({ segments }: PathOf): Mxc {
  const serverName = decodeSegment(segments.serverName ?? "");
  const mediaId = decodeSegment(segments.mediaId ?? "");
  if (serverName === undefined || !isServerName(serverName)) throw invalid("server name");
  if (mediaId === undefined || !isMediaId(mediaId)) throw invalid("media id");
  return { serverName, mediaId };
}

/** The server of a path of the form …/:serverName, decoded; whether it can be one is for the handler to find out. */
export function serverNamePath({ segments }: PathOf): string {
  const serverName = decodeSegment(segments.serverName ?? "");
  if (serverName === undefined) throw invalid("server name");
  return serverName;
}

/** A segment that is not what it must be. */
export function invalid(what: "server name" | "media id"): MatrixError {
  return new MatrixError("M_INVALID_PARAM", `Cannot use this ${what}: it is not valid`);
}
