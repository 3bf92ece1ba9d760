import { cacheForward, type ForwardDetail, type ForwardReason } from "../origin/cache_status.ts";
import type { OriginClient } from "../origin/origin_client.ts";
import type { Visit } from "../visit.ts";

/** Lets the origin answer: see {@link makeForward}. */
export type Forward = (visit: Visit, reason?: ForwardReason, detail?: ForwardDetail) => Promise<Response>;

/**
 * Everything that the edge does not answer itself goes to the origin and back, streamed in both directions by the runtime: no
 * JavaScript touches a body. Only `Cache-Status` is added, behind that of any cache further in (RFC 9211 §2).
 */
export function makeForward(origin: Pick<OriginClient, "forward">): Forward {
  return async (visit, reason, detail) => {
    const answer = await origin.forward(visit);
    const response = new Response(answer.body, answer);
    response.headers.append("cache-status", cacheForward(reason ?? usualReason(visit), detail));
    return response;
  };
}

function usualReason(visit: Visit): ForwardReason {
  return visit.request.method === "GET" || visit.request.method === "HEAD" ? "bypass" : "method";
}
