import { cacheForward, type ForwardDetail, type ForwardReason } from "../cache/cache_status.ts";
import type { OriginClient } from "../origin/client.ts";
import type { EdgeRequest } from "../request.ts";

/** Lets the origin answer, and says why in `Cache-Status`. */
export type Forward = (request: EdgeRequest, reason?: ForwardReason, detail?: ForwardDetail) => Promise<Response>;

/**
 * Everything that the edge does not answer itself goes to the origin and back, streamed in both directions by the runtime: no
 * JavaScript touches a body. Only `Cache-Status` is added, behind that of any cache further in (RFC 9211 §2).
 */
export function makeForward(origin: Pick<OriginClient, "forward">): Forward {
  return async (request, reason, detail) => {
    const answer = await origin.forward(request);
    const response = new Response(answer.body, answer);
    response.headers.append("cache-status", cacheForward(reason ?? usualReason(request), detail));
    return response;
  };
}

function usualReason({ request: { method } }: EdgeRequest): ForwardReason {
  return method === "GET" || method === "HEAD" ? "bypass" : "method";
}
