import type { EdgeRequest } from "../request.ts";
import { forwardedBody } from "./headers.ts";

/** An upload is answered when its last byte has come, however slow the client: only a wait without end is cut. */
const UPLOAD_MS = 3_600_000;

/** For endpoints that ask a homeserver at most, to which the origin gives ten seconds. */
const QUICK_MS = 30_000;

/** Endpoints that report a state and return no media. */
const QUICK =
  /^(?:\/healthz|\/_matrix\/(?:client\/versions|media\/version|(?:client\/v1\/media|media\/[^/?]+)\/config|media\/[^/?]+(?:\/org\.matrix\.msc4034)?\/usage))(?:\?|$)/;

/**
 * How long the origin may take to begin its answer, in milliseconds: `timeoutMs`, which is for media that is still being uploaded
 * or fetched from elsewhere; less where there is nothing of that kind to wait for, more where the client's body is.
 */
export function timeoutFor({ request, target }: Pick<EdgeRequest, "request" | "target">, timeoutMs: number): number {
  if (forwardedBody(request) && request.headers.get("content-length") !== "0") return UPLOAD_MS;
  return QUICK.test(target) ? Math.min(timeoutMs, QUICK_MS) : timeoutMs;
}
