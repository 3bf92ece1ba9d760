import { AsyncLocalStorage } from "node:async_hooks";
import type { Server as Listener } from "node:http";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import {
  ENDPOINT_METHODS,
  KNOWN_METHODS,
  methodNotAllowed,
  requireRequestLine,
} from "../../shared/http/request_line.ts";
import { errorAnswer, preflightAnswer } from "../../shared/http/respond.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { HOP_PREFIX } from "../../shared/tiers/hop.ts";
import type { Config } from "../config/schema.ts";
import type { Domains } from "../domains/domains.ts";
import { QUESTION_HEADER } from "../matrix/own_questions.ts";
import { HotBodies } from "../media/download/hot_bodies.ts";
import { makeSharedRead } from "../media/download/shared_read.ts";
import type { SteadyClock } from "../platform/clock.ts";
import type { MakeId } from "../platform/ids.ts";
import { sleep } from "../platform/time.ts";
import type { PublishKey } from "../publish/publish_key.ts";
import { Dispatcher, type DispatcherParts } from "./dispatcher.ts";
import { answerError, matrixErrorOf, unrecognized } from "./errors.ts";
import { LingeringClose } from "./lingering_close.ts";
import { Outcome } from "./reply/outcome.ts";
import { writeAnswer } from "./reply/write.ts";
import { askedTarget, type ContextParts, readContext, routablePath } from "./request/read_context.ts";
import type { RequestContext } from "./request/request_context.ts";
import { type ProxySettings, TrustedProxies } from "./request/trusted_proxies.ts";
import type { Route } from "./route.ts";
import type { Rooms } from "./routes/rooms.ts";
import { listRoutes } from "./routes/routes.ts";
import { answerUnreadable, Underway } from "./unreadable.ts";

/**
 * The origin's HTTP: the Fastify server, and what holds for a request before its route is known: its context, the answer to
 * OPTIONS, unknown paths (404 `M_UNRECOGNIZED`) and methods (405). The dispatcher does the rest.
 *
 * Fastify listens, routes and runs our hooks, but `reply/write.ts` writes every answer on a hijacked reply. Fastify's `reply.send` was
 * tried (5.12). It keeps our headers for buffers and streams (strings get a charset), but it reports a body that fails
 * midway to its own logger only, and it calls `onResponse` only for answers that were sent whole: not when a body fails, and not
 * when the client leaves. Those must be logged and counted, and the bytes that were not sent must be given back to the user
 * who was charged. So each body has one owner (`writeBody`), which resolves however the body ends; the dispatcher measures when the
 * response closes; and there is one way to answer, not two.
 */

/** What the server needs of the rest of the house. */
export interface ServerParts extends Omit<ContextParts, "trusted">, Rooms {
  readonly domains: Domains;
  /** Which proxies are believed at first. */
  readonly proxies: ProxySettings;
  /** Absent where there is no edge. */
  readonly publishKey: PublishKey | undefined;
  readonly metrics: DispatcherParts["metrics"];
  readonly makeTemporaryId: MakeId;
  readonly downloadCache: DownloadCache;
  /** Throws for a request of our own that has come back to us, by the header that marks it. */
  readonly requireForeign: (header: string | readonly string[] | undefined) => void;
}

type DownloadCache = Config["downloads"]["cache"];

/** Request line and headers. As much as workerd reads, so that both tiers can say of the same targets that they are too long. */
const HEADER_BYTES = 128 * 1024;
const HEADERS_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 75_000;
/** A connection without traffic for this long is closed: longer than any wait of ours. */
const SILENCE_MS = 180_000;
const MAX_PARAMETER_BYTES = 8_192;
/** Until another process has taken over. */
const RETRY_MS = 2_000;
/** How long requests under way may take to end, in milliseconds. */
const DRAIN_MS = 10_000;
/** How often idle connections are closed meanwhile. */
const IDLE_MS = 100;
/** How long closing may take once all connections are closed. */
const LAST_MS = 5_000;

const MIB = 1_048_576;
/** Larger bodies are sent from their files as fast. */
const MOST_HOT_BYTES = MIB;
/** What is read at once for many servers that ask for the same media: in memory, and on the disk. */
const SHARED_READ = { memoryBodyBytes: MIB, keptBytes: 32 * MIB, timeoutMs: 30_000, spoolBodyBytes: 256 * MIB };
const SPOOL = { totalBytes: 1_024 * MIB, timeoutMs: 10 * 60_000 };

/** The server of one process. */
export class Server {
  readonly #parts: ServerParts;
  readonly #fastify: FastifyInstance;
  readonly #trusted: TrustedProxies;
  readonly #reading: ContextParts;
  readonly #underway = new Underway();
  readonly #current = new AsyncLocalStorage<FastifyRequest>();
  #isClosing = false;

  constructor(parts: ServerParts, routes: readonly Route[] = listRoutes(parts)) {
    this.#parts = parts;
    this.#trusted = new TrustedProxies(parts.proxies);
    this.#reading = { ...parts, trusted: this.#trusted };
    this.#fastify = this.#makeFastify();
    const dispatcher = makeDispatcher(parts);
    for (const route of routes) this.#register(route, dispatcher);
    for (const path of new Set(routes.flatMap((route) => route.path))) this.#refuseOtherMethods(path);
    this.#fastify.setNotFoundHandler(() => {
      throw unrecognized();
    });
  }

  /** Where connections come in. */
  get listener(): Listener {
    return this.#fastify.server;
  }

  /** Starts answering; resolves with the address. */
  listen(at: { readonly host: string; readonly port: number }): Promise<string> {
    return this.#fastify.listen(at);
  }

  /** Believes other proxies from now on. */
  follow(proxies: ProxySettings): void {
    this.#trusted.follow(proxies);
  }

  /** The request that the running code works for, for the log; empty outside of requests. */
  currentRequest(): { readonly id?: string; readonly method?: string; readonly route?: string } {
    const request = this.#current.getStore();
    if (!request) return {};
    const { id } = request.context ?? {};
    const known = id === undefined ? {} : { id };
    return { ...known, method: request.method, route: request.routeOptions.url ?? "unknown" };
  }

  /** Takes no more requests; those under way get ten seconds to end, and are then broken off. */
  async close(): Promise<void> {
    const closed = this.#fastify.close();
    // Clients keep connections for their next request.
    const idle = setInterval(() => this.listener.closeIdleConnections(), IDLE_MS);
    await Promise.race([closed, sleep(DRAIN_MS)]).finally(() => clearInterval(idle));
    this.listener.closeAllConnections();
    await Promise.race([closed, sleep(LAST_MS)]);
  }

  #makeFastify(): FastifyInstance {
    const fastify = Fastify({
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
      clientErrorHandler: (error, socket) => answerUnreadable(error, socket, this.#underway),
      logger: false,
    });
    acceptAnyBody(fastify);
    letExpectationsWait(fastify);
    const lingering = new LingeringClose();
    lingering.watch(fastify.server);
    fastify.decorateRequest("context");
    fastify.decorateRequest("outcome");
    fastify.addHook("preClose", async () => {
      this.#isClosing = true;
      lingering.close();
    });
    // A connection that cannot be accepted (no descriptor is left, say) must not end the process.
    fastify.server.once("listening", () => {
      fastify.server.on("error", (error) => this.#parts.log.error({ error }, "connection not accepted"));
    });
    fastify.addHook("onRequest", (request, reply, done) => this.#open(request, reply, done));
    fastify.setErrorHandler((thrown, request, reply) => answerError(request, reply, thrown));
    return fastify;
  }

  /** A request has come in. `done` lets the route have it; an answer that is written here ends it. */
  #open(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const { raw } = request;
    // Without a listener an error would end the process; the outcome of the answer is known when it closes.
    reply.raw.on("error", ignore);
    const outcome = new Outcome();
    request.outcome = outcome;
    const connection = { request: raw, response: reply.raw, outcome };
    this.#underway.begin(connection);
    // Requests on a connection whose end we have announced are ignored.
    if (raw.socket.writableEnded) return void reply.hijack();
    const arrived = { ...connection, target: request.originalUrl, routedBy: request.url };
    this.#current.run(request, () => {
      const look = (context: RequestContext) => {
        request.context = context;
        this.#look(request, reply, done);
      };
      const context = readContext(this.#reading, arrived);
      if (context instanceof Promise) context.then(look, done);
      else look(context);
    });
  }

  /** Answers what is the same for every path; `done` lets the route answer the rest. */
  #look(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    if (request.method === "OPTIONS") return void writeAnswer(reply, preflightAnswer());
    try {
      this.#requireOurs(request);
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }

  /** Refuses what no route is to see. */
  #requireOurs({ method, originalUrl, headers, context }: FastifyRequest): void {
    if (this.#isClosing) throw closing();
    requireRequestLine(method, context.target);
    this.#parts.requireForeign(headers[QUESTION_HEADER]);
    // What is between the tiers does not exist for anybody else.
    if (!context.fromEdge && originalUrl.startsWith(HOP_PREFIX)) throw unrecognized();
  }

  #register(route: Route, dispatcher: Dispatcher): void {
    const handler = dispatcher.handlerOf(route);
    for (const url of [route.path].flat()) {
      if (url.startsWith(HOP_PREFIX) !== (route.access === "edge")) {
        throw new Error(`only the edge may ask what lies beneath ${HOP_PREFIX}, and nothing else: ${url}`);
      }
      this.#fastify.route({ method: [route.method].flat(), url, handler });
    }
  }

  #refuseOtherMethods(url: string): void {
    const allowed = ENDPOINT_METHODS.filter((method) => this.#fastify.hasRoute({ method, url }));
    this.#fastify.route({
      method: KNOWN_METHODS.filter((method) => !allowed.some((one) => one === method)),
      url,
      handler: async () => {
        throw methodNotAllowed(allowed);
      },
    });
  }
}

function makeDispatcher(parts: ServerParts): Dispatcher {
  const { access, domains, publishKey, metrics, steady, makeTemporaryId } = parts;
  return new Dispatcher({
    ...{ access, domains, publishKey, metrics, steady },
    hotBodies: makeHotBodies(parts.downloadCache, steady),
    openShared: makeSharedRead({ ...SHARED_READ, clock: steady, spool: { ...SPOOL, makeId: makeTemporaryId } }),
  });
}

function makeHotBodies(cache: DownloadCache, clock: SteadyClock): HotBodies {
  return new HotBodies({
    clock,
    maxBytes: cache.enabled ? cache.maxSizeBytes : 0,
    maxBodyBytes: Math.min(cache.maxFileSizeBytes, MOST_HOT_BYTES),
    minDownloads: cache.minDownloads,
    trackedMs: cache.trackedMinutes * 60_000,
  });
}

/** Bodies are handed to the routes as they are: whatever their type, nothing is parsed or buffered before. */
function acceptAnyBody(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser("*", (_request, body, done) => done(null, body));
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

/** The answer to what still comes on an open connection while the server ends. */
function closing(): MatrixError {
  return new MatrixError("M_UNKNOWN", "The service is being stopped", { status: 503, retryAfterMs: RETRY_MS });
}

function ignore(): void {}
