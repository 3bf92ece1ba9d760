import type { IncomingMessage } from "node:http";
import { HOP_PATHS } from "../../../shared/tiers/hop_paths.ts";
import { HOP_HEADERS } from "../../../shared/tiers/hop_signature.ts";

/**
 * Path and query that a request is for: those of its URL. A hop whose URL could not carry them has them in its signature only;
 * nothing is answered by them before `readContext` has found that they are signed.
 */
export function askedTarget({ url = "/", headers }: Pick<IncomingMessage, "url" | "headers">): string {
  const signed = headers[HOP_HEADERS.target];
  return url === HOP_PATHS.forward && typeof signed === "string" ? signed : url;
}

/**
 * The path that routes are found by. Percent signs are doubled, so that the router decodes nothing: each route decodes the
 * raw target itself, once, by the rules of `shared/matrix/media_path`.
 */
export function routablePath(target: string): string {
  const path = target.split("?", 1)[0] ?? "/";
  const encoded = path.includes("%") ? path.replaceAll("%", "%25") : path;
  return encoded.startsWith("/") ? encoded : `/${encoded}`;
}
