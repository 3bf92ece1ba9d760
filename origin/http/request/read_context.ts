import type { IncomingMessage } from "node:http";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import {
  HOP_HEADERS,
  HOP_PATHS,
  HOP_REFUSED_HEADER,
  type Hop,
  type HopRefusal,
  verifyHop,
} from "../../../shared/tiers/hop.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Log } from "../../platform/log.ts";
import { forwardedAddress, forwardedHost, plainAddress } from "./forwarded.ts";
import { type Connection, RequestContext } from "./request_context.ts";

/** Finds out who asks, for what, and through whom: from the connection, a trusted proxy, or the signed hop of our edge. */

/** What reading a request's context needs. */
export interface ContextParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly makeRequestId: MakeId;
  /** The secret shared with the edge; `undefined`: no edge, no hop is believed. */
  readonly hopSecret: string | undefined;
  /** Whether the peer at this address may tell the client's address (`X-Forwarded-For`) and host (`X-Forwarded-Host`). */
  readonly trusted: { address(peer: string): boolean; host(peer: string): boolean };
  /** How long the body of a request may stand still, in milliseconds. */
  readonly bodyIdleMs: number;
}

/** Where a request has come in, and the path that its route was found by. */
export interface Arrived extends Connection {
  /** As the request line has it. */
  readonly target: string;
  readonly routedBy: string;
}

/**
 * Reads the context of a request; a promise only where a signature has to be verified.
 *
 * Errors: 403 for a hop that is not believed. Without it the request would be the Worker's own: of another host (and so perhaps
 * another homeserver), and all clients of the edge would share one address and its limits.
 */
export function readContext(parts: ContextParts, arrived: Arrived): RequestContext | Promise<RequestContext> {
  const { headers } = arrived.request;
  if (parts.hopSecret === undefined || headers[HOP_HEADERS.signature] === undefined)
    return directContext(parts, arrived);
  return hopContext(parts, arrived, parts.hopSecret);
}

/** The context of a request that comes from a client, perhaps through a proxy. */
function directContext(parts: ContextParts, arrived: Arrived): RequestContext {
  const { headers, socket } = arrived.request;
  const peer = plainAddress(socket.remoteAddress ?? "");
  const { trusted } = parts;
  const host = trusted.host(peer) ? forwardedHost(textOf(headers["x-forwarded-host"])) : undefined;
  const clientAddress = trusted.address(peer)
    ? forwardedAddress(textOf(headers["x-forwarded-for"]), (address) => trusted.address(address))
    : undefined;
  return contextOf(parts, arrived, {
    id: parts.makeRequestId(),
    host: host ?? headers.host,
    clientAddress: clientAddress ?? peer,
    fromEdge: false,
    target: arrived.target,
  });
}

/** The context of a request that our edge passes on. */
async function hopContext(parts: ContextParts, arrived: Arrived, secret: string): Promise<RequestContext> {
  const { request } = arrived;
  const header = (name: string) => request.headers[name] && textOf(request.headers[name]);
  const hop = await verifyHop(secret, request.method ?? "", header, parts.clock());
  if (typeof hop === "string") throw refused(parts, request, hop);
  // What the edge signed must be what it asks for: the path we routed by is the one inside the signature.
  if (routablePath(hop.target) !== arrived.routedBy) throw refused(parts, request, "target");
  const { host, target, requestId: id } = hop satisfies Hop;
  return contextOf(parts, arrived, { id, host, target, clientAddress: hop.clientAddress || undefined, fromEdge: true });
}

function contextOf(
  parts: ContextParts,
  at: Connection,
  facts: Pick<RequestContext, "id" | "host" | "clientAddress" | "fromEdge" | "target">,
): RequestContext {
  const contentType = hideContentType(at.request);
  return new RequestContext({ ...facts, contentType, startedMs: parts.steady() }, at, parts);
}

/**
 * The path and query that a request is for: those of its URL. A hop whose URL cannot carry them has them in its signed header;
 * `readContext` verifies the signature before a route sees them.
 */
export function askedTarget({ url = "/", headers }: Pick<IncomingMessage, "url" | "headers">): string {
  const signed = headers[HOP_HEADERS.target];
  return url === HOP_PATHS.forward && typeof signed === "string" ? signed : url;
}

/**
 * The path for the router. Percent signs are doubled, so that the router decodes nothing: each route decodes the raw target
 * itself, once, by the rules of `shared/matrix/media_target`.
 */
export function routablePath(target: string): string {
  const path = target.split("?", 1)[0] ?? "/";
  const encoded = path.includes("%") ? path.replaceAll("%", "%25") : path;
  return encoded.startsWith("/") ? encoded : `/${encoded}`;
}

const REFUSALS: Readonly<Record<HopRefusal, string>> = {
  form: "a part of it is missing or malformed",
  signature: "signed with another secret, or changed on the way",
  age: "the clocks of the two tiers differ by more than a minute",
  target: "the path was changed on the way",
};

function refused({ log }: ContextParts, { socket }: IncomingMessage, reason: HopRefusal): MatrixError {
  log.warn({ reason, peer: socket.remoteAddress }, `refused a request of the edge: ${REFUSALS[reason]}`);
  return new MatrixError("M_FORBIDDEN", `Not believed to come from our edge: ${REFUSALS[reason]}`, {
    headers: { [HOP_REFUSED_HEADER]: reason },
  });
}

/** Hides the content type from the framework, which would refuse a malformed one before any route sees it. */
function hideContentType({ headers }: IncomingMessage): string | undefined {
  const sent = headers["content-type"];
  headers["content-type"] = "application/octet-stream";
  return sent;
}

function textOf(header: string | readonly string[] | undefined): string {
  return (typeof header === "string" ? header : header?.[0]) ?? "";
}
