import type { Socket } from "node:net";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { HOP_HEADERS, type Hop, verifyHop } from "../../shared/hop_signature.ts";
import { MatrixError } from "../../shared/matrix_error.ts";
import { errorAnswer, preflightAnswer } from "../../shared/respond.ts";
import type { Clock } from "../platform/clock.ts";
import type { MakeId } from "../platform/ids.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { matrixErrorOf } from "./errors.ts";
import { headerOf, type RequestContext } from "./request_context.ts";
import { writeAnswer } from "./write.ts";

/** What the server itself needs; the routes bring their own. */
export interface ServerParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly makeRequestId: MakeId;
  readonly metrics: Metrics;
  /** The secret shared with the edge; `undefined`: no edge, no hop is believed. */
  readonly hopSecret: string | undefined;
  /** Whether the peer at this address may tell the client's address (`X-Forwarded-For`) and host (`X-Forwarded-Host`). */
  readonly trusted: { address(peer: string): boolean; host(peer: string): boolean };
}

/** One endpoint: its name in the metrics, its methods and its path. */
export interface Route {
  readonly action: string;
  readonly methods: readonly ("GET" | "HEAD" | "POST" | "PUT" | "DELETE")[];
  readonly path: string;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] as const;
const HEADER_BYTES = 64 * 1024;
const HEADERS_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 75_000;
/** A connection on which nothing moves for so long is closed, whatever it waits for: longer than any wait of ours. */
const SILENCE_MS = 180_000;
const MAX_PARAMETER_BYTES = 8_192;
const INTERNAL_PREFIX = "/_mxcdn/";

/**
 * The Fastify server, with the manners that every route shares: the request's context, the answer to OPTIONS, unknown
 * paths (404 `M_UNRECOGNIZED`) and methods (405), errors in Matrix form, metrics, and bodies that are passed on as
 * streams, never parsed by the framework.
 */
export function makeServer(parts: ServerParts, routes: readonly Route[]): FastifyInstance {
  const server = Fastify({
    http: { maxHeaderSize: HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 },
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionTimeout: SILENCE_MS,
    exposeHeadRoutes: false,
    forceCloseConnections: "idle",
    routerOptions: { maxParamLength: MAX_PARAMETER_BYTES, caseSensitive: true },
    rewriteUrl: (request) => routablePath(request.url ?? "/"),
    frameworkErrors: (error, _request, reply) => writeAnswer(reply, errorAnswer(matrixErrorOf(error))),
    clientErrorHandler: answerUnreadable,
    logger: false,
  });
  acceptAnyBody(server);
  server.decorateRequest("context");
  server.addHook("onRequest", async (request, reply) => {
    request.context = await contextOf(parts, request, reply);
    if (request.method === "OPTIONS") writeAnswer(reply, preflightAnswer());
  });
  for (const route of routes) register(server, parts, route);
  server.setNotFoundHandler(({ method }) => {
    // What no endpoint takes (TRACE, PROPFIND) is refused alike on all paths, as at the edge.
    if (!METHODS.some((one) => one === method)) throw methodNotAllowed();
    throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request", { status: 404 });
  });
  server.setErrorHandler((thrown, request, reply) => {
    const error = matrixErrorOf(thrown);
    report(request, error);
    // Too late to say anything: the answer was begun.
    if (reply.raw.headersSent) reply.raw.destroy();
    else writeAnswer(reply, errorAnswer(error));
  });
  return server;
}

/** Bodies are handed to the routes as they are: whatever their type, nothing is parsed or buffered before. */
function acceptAnyBody(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, body, done) => done(null, body));
}

function register(server: FastifyInstance, parts: ServerParts, route: Route): void {
  const { action, methods, path } = route;
  const observe = (request: FastifyRequest, reply: FastifyReply) => {
    parts.metrics.requestSeen(action, request.method);
    reply.raw.once("close", () => {
      const took = parts.clock() - request.context.startedMs;
      parts.metrics.requestAnswered(action, request.method, reply.statusCode, took);
      request.context.log.info({ action, method: request.method, status: reply.statusCode, ms: took }, "answered");
    });
  };
  server.route({
    method: [...methods],
    url: path,
    handler: async (request, reply) => {
      observe(request, reply);
      await route.handle(request, reply);
      return reply;
    },
  });
  // What is between the tiers does not exist for anybody else, by whatever method.
  if (path.startsWith(INTERNAL_PREFIX)) return;
  const others = METHODS.filter((method) => !methods.some((one) => one === method));
  server.route({
    method: others.filter((method) => !server.hasRoute({ method, url: path })),
    url: path,
    handler: async () => {
      throw methodNotAllowed();
    },
  });
}

function methodNotAllowed(): MatrixError {
  return new MatrixError("M_UNRECOGNIZED", "Method not allowed", { status: 405 });
}

async function contextOf(parts: ServerParts, request: FastifyRequest, reply: FastifyReply): Promise<RequestContext> {
  const hop = await hopOf(parts, request);
  const peer = request.socket.remoteAddress ?? "";
  const id = hop?.requestId ?? parts.makeRequestId();
  const contentType = takeContentType(request);
  return {
    id,
    host: hop?.host ?? forwardedHost(parts, request, peer) ?? headerOf(request, "host"),
    clientAddress: hop ? hop.clientAddress || undefined : (forwardedAddress(parts, request, peer) ?? peer),
    fromEdge: hop !== undefined,
    target: hop?.target ?? request.originalUrl,
    contentType,
    signal: goneSignal(reply),
    startedMs: parts.clock(),
    log: parts.log.child({ id }),
  };
}

async function hopOf(parts: ServerParts, request: FastifyRequest): Promise<Hop | undefined> {
  if (parts.hopSecret === undefined || headerOf(request, HOP_HEADERS.signature) === undefined) return undefined;
  const method = request.method;
  const hop = await verifyHop(parts.hopSecret, method, (name) => headerOf(request, name), parts.clock());
  // What the edge signed must be what it asks for: the path we routed by is the one inside the signature.
  return hop && routablePath(hop.target) === request.url ? hop : undefined;
}

function forwardedHost(parts: ServerParts, request: FastifyRequest, peer: string): string | undefined {
  return parts.trusted.host(peer)
    ? headerOf(request, "x-forwarded-host")?.split(",")[0]?.trim() || undefined
    : undefined;
}

/** The right-most address that no trusted proxy has added: what is further left, the client may have written itself. */
function forwardedAddress(parts: ServerParts, request: FastifyRequest, peer: string): string | undefined {
  if (!parts.trusted.address(peer)) return undefined;
  const hops = (headerOf(request, "x-forwarded-for") ?? "").split(",").map((one) => one.trim());
  return hops.findLast((one) => one !== "" && !parts.trusted.address(one)) ?? (hops[0] || undefined);
}

/** Hides the content type from the framework, which would refuse a malformed one before any route sees it. */
function takeContentType(request: FastifyRequest): string | undefined {
  const sent = headerOf(request, "content-type");
  request.headers["content-type"] = "application/octet-stream";
  return sent;
}

function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort(new Error("the client went away"));
  });
  return gone.signal;
}

/**
 * The path that routes are found by. Percent signs are doubled, so that the router decodes nothing: each route decodes the
 * raw target itself, once, by the rules of `shared/media_path`.
 */
function routablePath(target: string): string {
  const path = target.split("?", 1)[0] ?? "/";
  const encoded = path.includes("%") ? path.replaceAll("%", "%25") : path;
  return encoded.startsWith("/") ? encoded : `/${encoded}`;
}

function report(request: FastifyRequest, error: MatrixError): void {
  const log = request.context?.log;
  if (!log || request.context.signal.aborted) return;
  if (error.status >= 500) log.error({ errcode: error.errcode, status: error.status, error }, error.message);
  else log.debug({ errcode: error.errcode, status: error.status }, error.message);
}

/** Requests that cannot be read at all (too large a header, broken HTTP) are answered in Matrix form too. */
function answerUnreadable(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable) return void socket.destroy();
  const status = UNREADABLE[error.code ?? ""] ?? 400;
  const answer = errorAnswer(new MatrixError("M_UNKNOWN", "Cannot read the request", { status }));
  const body = answer.body ?? "";
  const head = Object.entries({
    ...answer.headers,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  });
  socket.end(`HTTP/1.1 ${status} \r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`);
}

const UNREADABLE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
