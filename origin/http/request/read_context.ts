import type { FastifyReply, FastifyRequest } from "fastify";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import {
  HOP_HEADERS,
  HOP_REFUSED_HEADER,
  type Hop,
  type HopRefusal,
  verifyHop,
} from "../../../shared/tiers/hop_signature.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Log } from "../../platform/log.ts";
import { forwardedAddress, forwardedHost } from "./forwarded.ts";
import { plainAddress } from "./plain_address.ts";
import { headerOf, type RequestContext } from "./request_context.ts";
import { routablePath } from "./routable_path.ts";

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
}

/**
 * Reads who asks, for what, and through whom, once for each request.
 *
 * Errors: 403 for a hop that is not believed. Without it the request would be the Worker's own: of another host (and so perhaps
 * another homeserver), and all clients of the edge would share one address and its limits.
 */
export async function readContext(
  parts: ContextParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<RequestContext> {
  const hop = await hopOf(parts, request);
  const peer = plainAddress(request.socket.remoteAddress ?? "");
  const id = hop?.requestId ?? parts.makeRequestId();
  const contentType = takeContentType(request);
  return {
    id,
    host: hop?.host ?? hostSaidBy(parts, request, peer) ?? headerOf(request, "host"),
    clientAddress: hop ? hop.clientAddress || undefined : (clientSaidBy(parts, request, peer) ?? peer),
    fromEdge: hop !== undefined,
    target: hop?.target ?? request.originalUrl,
    contentType,
    signal: goneSignal(request, reply),
    askForBody: () => {
      if (waitsForContinue(request)) reply.raw.writeContinue();
    },
    startedMs: parts.steady(),
    log: parts.log.child({ id }),
  };
}

async function hopOf(parts: ContextParts, request: FastifyRequest): Promise<Hop | undefined> {
  if (parts.hopSecret === undefined || headerOf(request, HOP_HEADERS.signature) === undefined) return undefined;
  const method = request.method;
  const hop = await verifyHop(parts.hopSecret, method, (name) => headerOf(request, name), parts.clock());
  if (typeof hop === "string") throw refused(parts, request, hop);
  // What the edge signed must be what it asks for: the path we routed by is the one inside the signature.
  if (routablePath(hop.target) !== request.url) throw refused(parts, request, "target");
  return hop;
}

const REFUSALS: Readonly<Record<HopRefusal, string>> = {
  form: "a part of it is missing or malformed",
  signature: "signed with another secret, or changed on the way",
  age: "the clocks of the two tiers differ by more than a minute",
  target: "the path was changed on the way",
};

function refused({ log }: ContextParts, { socket }: FastifyRequest, reason: HopRefusal): MatrixError {
  log.warn({ reason, peer: socket.remoteAddress }, `refused a request of the edge: ${REFUSALS[reason]}`);
  return new MatrixError("M_FORBIDDEN", `Not believed to come from our edge: ${REFUSALS[reason]}`, {
    headers: { [HOP_REFUSED_HEADER]: reason },
  });
}

function hostSaidBy(parts: ContextParts, request: FastifyRequest, peer: string): string | undefined {
  if (!parts.trusted.host(peer)) return undefined;
  return forwardedHost(headerOf(request, "x-forwarded-host") ?? "");
}

function clientSaidBy(parts: ContextParts, request: FastifyRequest, peer: string): string | undefined {
  if (!parts.trusted.address(peer)) return undefined;
  return forwardedAddress(headerOf(request, "x-forwarded-for") ?? "", (address) => parts.trusted.address(address));
}

/** Hides the content type from the framework, which would refuse a malformed one before any route sees it. */
function takeContentType(request: FastifyRequest): string | undefined {
  const sent = headerOf(request, "content-type");
  request.headers["content-type"] = "application/octet-stream";
  return sent;
}

/** HTTP/1.0 knows no such answer. */
function waitsForContinue(request: FastifyRequest): boolean {
  return request.raw.httpVersion === "1.1" && /^100-continue$/i.test(headerOf(request, "expect") ?? "");
}

function goneSignal({ raw: request }: FastifyRequest, { raw: response }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const leave = () => gone.abort(new Error("the client went away"));
  const hasLeft = () => {
    if (response.closed && !response.writableFinished) leave();
    // A body that breaks off tells first, and its reader must find the signal aborted.
    if (request.destroyed && !request.complete) leave();
  };
  response.once("close", hasLeft);
  request.once("close", hasLeft);
  // It took a moment to find out through whom it has come.
  hasLeft();
  return gone.signal;
}
