import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import {
  demandRequestLine,
  ENDPOINT_METHODS,
  KNOWN_METHODS,
  methodNotAllowed,
} from "../../shared/http/request_line.ts";
import { errorAnswer, preflightAnswer } from "../../shared/http/respond.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { HOP_PREFIX } from "../../shared/tiers/hop_paths.ts";
import { LEADS_BACK, QUESTION_HEADER } from "../matrix/own_questions.ts";
import type { Metrics } from "../platform/metrics.ts";
import { matrixErrorOf } from "./errors.ts";
import { LingeringClose } from "./lingering_close.ts";
import { answerUnreadable } from "./reply/answer_unreadable.ts";
import { Outcome } from "./reply/outcome.ts";
import { writeAnswer } from "./reply/write.ts";
import type { CurrentRequest } from "./request/current_request.ts";
import { type ContextParts, readContext } from "./request/read_context.ts";
import { askedTarget, routablePath } from "./request/routable_path.ts";
import { Underway } from "./underway.ts";

/** What the server itself needs; the routes bring their own. */
export interface ServerParts extends ContextParts {
  readonly metrics: Metrics;
  readonly current: CurrentRequest;
  /** Throws for a question of our own that has come back to us; gets its header. */
  readonly requireForeign: (header: string | readonly string[] | undefined) => void;
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
  const underway = new Underway();
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
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, underway),
    logger: false,
  });
  acceptAnyBody(server);
  letExpectationsWait(server);
  const lingering = new LingeringClose();
  lingering.watch(server.server);
  server.decorateRequest("context");
  server.decorateRequest("outcome");
  let isClosing = false;
  server.addHook("preClose", async () => {
    isClosing = true;
    lingering.close();
  });
  ownServerErrors(server, parts);
  server.addHook("onRequest", (request, reply, done) => {
    // Without a listener an error would end the process; that the answer did not get through, its end tells.
    reply.raw.on("error", () => undefined);
    request.outcome = new Outcome();
    underway.begin({ request: request.raw, response: reply.raw, outcome: request.outcome });
    parts.current.run(request, done);
  });
  server.addHook("onRequest", async (request, reply) => {
    // What follows on a connection whose end we have announced is not acted upon.
    if (request.raw.socket.writableEnded) return void reply.hijack();
    request.context = await readContext(parts, request, reply);
    if (request.method === "OPTIONS") return writeAnswer(reply, preflightAnswer());
    if (isClosing) throw closing();
    demandRequestLine(request.method, request.context.target);
    parts.requireForeign(request.headers[QUESTION_HEADER]);
    // What is between the tiers does not exist for anybody else.
    if (!request.context.fromEdge && request.originalUrl.startsWith(HOP_PREFIX)) throw unrecognized();
  });
  for (const route of routes) register(server, parts, route);
  for (const path of new Set(routes.map((route) => route.path))) refuseOtherMethods(server, path);
  server.setNotFoundHandler(() => {
    throw unrecognized();
  });
  server.setErrorHandler((thrown, request, reply) => {
    fail(request, reply, thrown);
  });
  return server;
}

/** A connection that cannot be taken in (no descriptor is left, say) must not end the process. */
function ownServerErrors({ server }: FastifyInstance, { log }: ServerParts): void {
  server.once("listening", () => {
    server.on("error", (error) => log.error({ error }, "cannot take in a connection"));
  });
}

/** Reports what was thrown and answers with it. Where the answer was begun it is too late to say anything: its connection ends. */
function fail(request: FastifyRequest, reply: FastifyReply, thrown: unknown): void {
  const error = matrixErrorOf(thrown);
  report(request, error, reply.raw.headersSent);
  if (reply.raw.headersSent) reply.raw.destroy();
  else writeAnswer(reply, errorAnswer(error));
}

/** Bodies are handed to the routes as they are: whatever their type, nothing is parsed or buffered before. */
function acceptAnyBody(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, body, done) => done(null, body));
}

/**
 * A client that sends its body only when it is told to is told so when the body is read, and so never for one that is refused.
 * Other expectations mean nothing (RFC 9110 §10.1.1 lets a server ignore them).
 */
function letExpectationsWait({ server }: FastifyInstance): void {
  for (const expectation of ["checkContinue", "checkExpectation"]) {
    server.on(expectation, (request, response) => server.emit("request", request, response));
  }
}

function register(server: FastifyInstance, parts: ServerParts, route: Route): void {
  const { action, methods, path } = route;
  const observe = (request: FastifyRequest, reply: FastifyReply) => {
    parts.metrics.requestSeen(action, request.method);
    const { raw } = reply;
    const tell = () => {
      const { method, outcome } = request;
      const { startedMs, log } = request.context;
      const ms = parts.steady() - startedMs;
      const { how, status } = outcome.told(raw.writableFinished, raw.statusCode);
      const { receivedBytes, sentBytes } = outcome;
      parts.metrics.requestAnswered(action, method, status, ms);
      log.info({ action, method, status, receivedBytes, sentBytes, ms }, how);
    };
    // Whoever left while it was found out who he is has no answer that could end.
    if (raw.closed) tell();
    else raw.once("close", tell);
  };
  server.route({
    method: [...methods],
    url: path,
    handler: async (request, reply) => {
      observe(request, reply);
      try {
        await route.handle(request, reply);
      } catch (thrown) {
        // The framework hears nothing any more of an answer that we write ourselves.
        if (!reply.sent) throw thrown;
        fail(request, reply, thrown);
      }
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

function report(request: FastifyRequest, error: MatrixError, wasBegun: boolean): void {
  if (!request.context || request.context.signal.aborted) return;
  const { log } = request.context;
  const { errcode, status, message } = error;
  // What leads back to us is said once for all its requests.
  const isSaid = error.mrErrcode === LEADS_BACK;
  if (wasBegun) {
    request.outcome.cutOff(error);
    const { sentBytes } = request.outcome;
    log.error({ errcode, status, sentBytes, error }, `cut off an answer: ${message}`);
  } else if (status >= 500 && !isSaid) log.error({ errcode, status, error }, message);
  else log.debug({ errcode, status }, message);
}
