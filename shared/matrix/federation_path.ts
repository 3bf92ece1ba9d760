import { MatrixError } from "./matrix_error.ts";
import { isMediaId } from "./mxc.ts";

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

const KIND = /^\/(download|thumbnail)\/([^/]+)$/;

/**
 * Recognises the media endpoints of the Server-Server API in a raw request target (path and query as they came); undefined for
 * any other. Throws 400 `M_INVALID_PARAM` for what is no media id.
 */
export function parseFederationTarget(target: string): FederationRoute | undefined {
  const path = target.split("?", 1)[0] ?? "";
  const prefix = FEDERATION_PREFIXES.find((one) => path.startsWith(`${one}/`));
  const [, kind, segment = ""] = KIND.exec(path.slice(prefix?.length ?? 0)) ?? [];
  if (prefix === undefined || (kind !== "download" && kind !== "thumbnail")) return undefined;
  const mediaId = decode(segment);
  if (mediaId === undefined || !isMediaId(mediaId)) throw new MatrixError("M_INVALID_PARAM", "Invalid media id");
  return { kind, mediaId };
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
