import type { FastifyReply, FastifyRequest } from "fastify";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Limits } from "../access/limits/limits.ts";
import type { Counted } from "../access/limits/subject.ts";
import type { Tenant } from "../domains/tenant.ts";
import type { HotBodies } from "../media/download/hot_bodies.ts";
import type { OpenShared } from "../media/download/shared_read.ts";
import type { SteadyClock } from "../platform/clock.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { PublishKey } from "../publish/publish_key.ts";
import { type Authenticate, requireCredentials } from "./authenticate.ts";
import type { AuthenticateServer } from "./authenticate_server.ts";
import { answerError } from "./errors.ts";
import { countedAs, countingFailures, whatIsAsked } from "./limit.ts";
import { replyArriving, replyFile, replyMultipart } from "./reply/media.ts";
import { writeAnswer, writeBytes } from "./reply/write.ts";
import type { RequestContext } from "./request/request_context.ts";
import type { Access, Limited, MediaReply, PathOf, Reply, Requesters, Route } from "./route.ts";

/** Does for each request what all routes have in common, in the order that `route.ts` tells. */

/** What the dispatcher asks of the rest of the house. */
export interface DispatcherParts {
  readonly authenticate: Authenticate;
  readonly authenticateServer: AuthenticateServer;
  readonly limits: Pick<Limits, "checkRequest" | "checkFailures" | "countFailure" | "chargeDownload">;
  /** The homeserver that a host names. Throws 404 where it names none. */
  readonly domainOf: (host: string | undefined) => Tenant;
  readonly openShared: OpenShared;
  readonly hotBodies: HotBodies;
  /** Absent where there is no edge. */
  readonly publishKey: PublishKey | undefined;
  readonly metrics: Pick<Metrics, "requestSeen" | "requestAnswered" | "requestTook">;
  readonly steady: SteadyClock;
}

const NOBODY = {};

/** One dispatcher serves all routes. */
export class Dispatcher {
  readonly #parts: DispatcherParts;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
  }

  /** What the framework calls for each request of a route. Never throws. */
  handlerOf(route: Route): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
    return async (request, reply) => {
      this.#measure(route, request, reply);
      try {
        const call = new OpenCall(request.context, this.#parts.domainOf);
        Object.assign(call, await this.#admit(route, call));
        await read(route, call, request);
        await this.#send(call, reply, await route.handle(call));
      } catch (thrown) {
        answerError(request, reply, thrown);
      }
      return reply;
    };
  }

  /** Counts the request and, when its connection has done with it, says in metrics and log how it ended. */
  #measure({ action }: Route, request: FastifyRequest, { raw }: FastifyReply): void {
    const { metrics, steady } = this.#parts;
    const { method, outcome, context } = request;
    metrics.requestSeen(action, method);
    const tell = () => {
      const ms = steady() - context.startedMs;
      const { how, status } = outcome.told(raw.writableFinished, raw.statusCode);
      const { receivedBytes, sentBytes } = outcome;
      metrics.requestAnswered(action, method, status);
      metrics.requestTook(action, method, ms);
      context.log.info({ action, method, status, receivedBytes, sentBytes, ms }, how);
    };
    // The client may have left while its context was read.
    if (raw.closed) tell();
    else raw.once("close", tell);
  }

  /** Finds out who asks and whether they may, and counts the request. Resolves with what the handler is told of them. */
  async #admit({ access, limit }: Route, call: OpenCall): Promise<Requesters[Access]> {
    switch (access) {
      case "none":
      case "edge":
        await this.#count(limit, call);
        return NOBODY;
      case "optional":
        return await this.#admitAnybody(limit, call);
      case "token":
        return await this.#admitBearer(limit, call);
      case "server":
        return await this.#admitServer(limit, call);
      case "user":
      case "user_or_guest":
        return await this.#admitUser(access, limit, call);
      case "repository_admin":
        return requireAdmin(await this.#admitUser("user", limit, call));
      case "domain_admin":
        return await requireDomainAdmin(await this.#admitUser("user", limit, call), call.domain);
      default:
        return access satisfies never;
    }
  }

  async #admitUser(audience: "user" | "user_or_guest", limit: Limited, call: OpenCall): Promise<Requesters["user"]> {
    const { authenticate, limits } = this.#parts;
    const { request } = call;
    const authenticating = authenticate.user(request, call.domain, audience);
    const { subject, credentials } = await countingFailures(limits, request.clientAddress, authenticating);
    call.counted = countedAs(request, subject);
    await this.#count(limit, call);
    return { requester: subject, credentials };
  }

  async #admitAnybody(limit: Limited, call: OpenCall): Promise<Requesters["optional"]> {
    const requester = await this.#parts.authenticate.optional(call.request, call.domain);
    call.counted = countedAs(call.request, requester);
    await this.#count(limit, call);
    return { requester };
  }

  /** A refused token is not an error here. It has been counted as a failure. */
  async #admitBearer(limit: Limited, call: OpenCall): Promise<Requesters["token"]> {
    try {
      const { requester, credentials } = await this.#admitUser("user_or_guest", limit, call);
      return { judged: requester, credentials };
    } catch (error) {
      if (!(error instanceof MatrixError) || (error.status !== 401 && error.status !== 403)) throw error;
      return { judged: error, credentials: requireCredentials(call.request) };
    }
  }

  async #admitServer(limit: Limited, call: OpenCall): Promise<Requesters["server"]> {
    const { authenticateServer, limits, publishKey } = this.#parts;
    const { request } = call;
    await limits.checkFailures(request.clientAddress);
    const server = await countingFailures(limits, request.clientAddress, authenticateServer(request));
    call.domain = server.tenant;
    call.counted = { kind: "server", serverName: server.serverName };
    await this.#count(limit, call);
    // Whatever comes of this request: the edge is to judge the next one of this server by itself.
    if (request.fromEdge) void publishKey?.(server.keys, server.tenant.domain);
    return { server };
  }

  async #count(limit: Limited, { request, counted }: OpenCall): Promise<void> {
    if (limit !== "none") await this.#parts.limits.checkRequest(counted, whatIsAsked(request, limit));
  }

  async #send(call: OpenCall, reply: FastifyReply, answer: Reply): Promise<void> {
    if ("body" in answer) writeAnswer(reply, answer);
    else if ("bytes" in answer) writeBytes(reply, answer.status, answer.headers, answer.bytes);
    else await this.#sendMedia(call, reply, answer);
  }

  async #sendMedia(call: OpenCall, reply: FastifyReply, { file, multipart }: MediaReply): Promise<void> {
    const { limits, openShared, hotBodies } = this.#parts;
    const { counted } = call;
    // No answer waits for the edge's bucket.
    if (call.request.fromEdge) void (file ?? multipart).publish?.();
    if (multipart) await replyMultipart(reply, multipart.servable, { limits, counted, openShared });
    else if ("bytes" in file) await replyArriving(reply, file, { limits, counted });
    else {
      const { openRangeMaxBytes } = call.domain.domain.policy;
      await replyFile(reply, file.servable, { limits, counted, openRangeMaxBytes, hotBodies });
    }
  }
}

/** What all calls have in common, while the dispatcher fills it in. */
class OpenCall {
  readonly request: RequestContext;
  counted: Counted;
  params: unknown;
  query: unknown;
  body: unknown;
  readonly #domainOf: DispatcherParts["domainOf"];
  #domain: Tenant | undefined;

  constructor(request: RequestContext, domainOf: DispatcherParts["domainOf"]) {
    this.request = request;
    this.counted = { kind: "address", address: request.clientAddress };
    this.#domainOf = domainOf;
  }

  /** Found on first use: some routes are served for any host. */
  get domain(): Tenant {
    this.#domain ??= this.#domainOf(this.request.host);
    return this.#domain;
  }

  set domain(addressed: Tenant) {
    this.#domain = addressed;
  }
}

function requireAdmin(user: Requesters["user"]): Requesters["user"] {
  if (user.requester.isRepositoryAdmin) return user;
  throw new MatrixError("M_FORBIDDEN", "Only for administrators of the repository");
}

async function requireDomainAdmin(user: Requesters["user"], domain: Tenant): Promise<Requesters["user"]> {
  if (user.requester.isRepositoryAdmin || (await domain.isServerAdmin(user.credentials))) return user;
  throw new MatrixError("M_FORBIDDEN", "Only for administrators of the homeserver");
}

/** Reads what the route wants to know, in this order: the first that is wrong is what the client is told. */
async function read(route: Route, call: OpenCall, { params }: FastifyRequest): Promise<void> {
  const { request } = call;
  if (route.params) call.params = route.params({ target: request.target, segments: params as PathOf["segments"] });
  if (route.query) call.query = route.query(request.query);
  if (route.body) call.body = await route.body.read(request);
}
