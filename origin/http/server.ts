import type { Socket } from "node:net";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { HOP_PREFIX } from "../../shared/hop_paths.ts";
import { MatrixError } from "../../shared/matrix_error.ts";
import { demandRequestLine, ENDPOINT_METHODS, KNOWN_METHODS, methodNotAllowed } from "../../shared/request_line.ts";
import { errorAnswer, preflightAnswer } from "../../shared/respond.ts";
import type { Metrics } from "../platform/metrics.ts";
import { matrixErrorOf } from "./errors.ts";
import { type ContextParts, readContext } from "./read_context.ts";
import { askedTarget, routablePath } from "./routable_path.ts";
import { writeAnswer } from "./write.ts";

/** What the server itself needs; the routes bring their own. */
export interface ServerParts extends ContextParts {
  readonly metrics: Metrics;
}

/** One endpoint: its name in the metrics, its methods and its path. */
export interface Route {
  readonly action: string;
  readonly methods: readonly (typeof ENDPOINT_METHODS)[number][];
  readonly path: string;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
}

/** Request line and headers. As much as workerd reads, so that both tiers can say of the same targets that they are too long. */
const HEADER_BYTES = 128 * 1024;
const HEADERS_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 75_000;
/** A connection on which nothing moves for so long is closed, whatever it waits for: longer than any wait of ours. */
const SILENCE_MS = 180_000;
const MAX_PARAMETER_BYTES = 8_192;
/** Until another process, or the next one, is there. */
const RETRY_MS = 2_000;

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
    // We refuse what comes then ourselves.
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PARAMETER_BYTES, caseSensitive: true },
    rewriteUrl: (request) => routablePath(askedTarget(request)),
    frameworkErrors: (error, _request, reply) => writeAnswer(reply, errorAnswer(matrixErrorOf(error))),
    clientErrorHandler: answerUnreadable,
    logger: false,
  });
  acceptAnyBody(server);
  server.decorateRequest("context");
  let isClosing = false;
  server.addHook("preClose", async () => {
    isClosing = true;
  });
  server.addHook("onRequest", async (request, reply) => {
    request.context = await readContext(parts, request, reply);
    if (request.method === "OPTIONS") return writeAnswer(reply, preflightAnswer());
    if (isClosing) throw closing();
    demandRequestLine(request.method, request.context.target);
    // What is between the tiers does not exist for anybody else.
    if (!request.context.fromEdge && request.originalUrl.startsWith(HOP_PREFIX)) throw unrecognized();
  });
  for (const route of routes) register(server, parts, route);
  for (const path of new Set(routes.map((route) => route.path))) refuseOtherMethods(server, path);
  server.setNotFoundHandler(() => {
    throw unrecognized();
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
      const took = parts.steady() - request.context.startedMs;
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
}

function refuseOtherMethods(server: FastifyInstance, path: string): void {
  const allowed = ENDPOINT_METHODS.filter((method) => server.hasRoute({ method, url: path }));
  server.route({
    method: KNOWN_METHODS.filter((method) => !allowed.some((one) => one === method)),
    url: path,
    handler: async () => {
      throw methodNotAllowed(allowed);
    },
  });
}

/** The answer to what still comes on an open connection while the server ends. */
function closing(): MatrixError {
  return new MatrixError("M_UNKNOWN", "The service is being stopped", { status: 503, retryAfterMs: RETRY_MS });
}

function unrecognized(): MatrixError {
  return new MatrixError("M_UNRECOGNIZED", "Unrecognized request", { status: 404 });
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
