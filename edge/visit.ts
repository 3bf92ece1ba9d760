import { type Credentials, readCredentials } from "../shared/matrix/access_token.ts";
import type { KeepAlive } from "./cache/flight.ts";
import { rawTarget } from "./request_target.ts";

/** One request on its way through the edge: what several parts need to know of it. */
export interface Visit {
  readonly request: Request;
  /** Path and query as the client sent them. */
  readonly target: string;
  /** The `Host` the client asked for. */
  readonly host: string;
  /** The client's address, or empty where nobody trustworthy tells it. */
  readonly clientAddress: string;
  /** Shared by the logs of both tiers. */
  readonly requestId: string;
  readonly keepAlive: KeepAlive;
}

/** What makes a visit out of a request. */
export interface VisitParts {
  readonly makeId: () => string;
  /** `CF-Connecting-IP` is Cloudflare's word, not the client's. */
  readonly trustConnectingIp: boolean;
}

/** Reads a request once. */
export function makeVisit(request: Request, keepAlive: KeepAlive, parts: VisitParts): Visit {
  return {
    request,
    target: rawTarget(request.url),
    host: request.headers.get("host") ?? "",
    clientAddress: parts.trustConnectingIp ? (request.headers.get("cf-connecting-ip") ?? "") : "",
    requestId: parts.makeId(),
    keepAlive,
  };
}

/** The query, parsed from the raw target. */
export function queryOf(visit: Visit): URLSearchParams {
  const mark = visit.target.indexOf("?");
  return new URLSearchParams(mark < 0 ? "" : visit.target.slice(mark + 1));
}

/** The access token of a request and whom it acts as; `undefined` without one. Errors: those of `readCredentials`. */
export function credentialsOf(visit: Visit): Credentials | undefined {
  return readCredentials(visit.request.headers.get("authorization"), queryOf(visit));
}
