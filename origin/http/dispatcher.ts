import type { FastifyReply, FastifyRequest } from "fastify";
import { isPart } from "../../shared/http/byte_range.ts";
import type { Access } from "../access/access.ts";
import type { Counted } from "../access/limits/counted.ts";
import type { Asked } from "../access/limits/limits.ts";
import type { Domain } from "../domains/domain.ts";
import type { Domains } from "../domains/domains.ts";
import type { HotBodies } from "../media/download/hot_bodies.ts";
import type { OpenShared } from "../media/download/shared_read.ts";
import type { SteadyClock } from "../platform/clock.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { PublishKey } from "../publish/publish_key.ts";
import { LostObject } from "../stores/objects/store_trouble.ts";
import { answerError } from "./errors.ts";
import { replyArriving, replyFile, replyMultipart } from "./reply/media.ts";
import { writeAnswer, writeBytes } from "./reply/write.ts";
import type { RequestContext } from "./request/request_context.ts";
import type { Limited, MediaReply, PathOf, Reply, Requesters, Route, RouteAccess } from "./route.ts";

/** Does for each request what all routes have in common, in the order that `route.ts` tells. */

/** What the dispatcher asks of the rest of the house. */
export interface DispatcherParts {
  readonly access: Access;
  readonly domains: Domains;
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
        const call = new OpenCall(request.context, this.#parts.domains, this.#parts.access);
        Object.assign(call, await this.#admit(route, call));
        await read(route, call, request);
        await this.#answer(route, call, reply);
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
  async #admit({ access, limit }: Route, call: OpenCall): Promise<Requesters[RouteAccess]> {
    switch (access) {
      case "none":
      case "edge":
        await this.#count(limit, call);
        return NOBODY;
      case "optional":
        return await this.#counted(limit, call, await this.#parts.access.findUser(call.request, call.domain));
      case "token":
        return await this.#admitBearer(limit, call);
      case "server":
        return await this.#admitServer(limit, call);
      case "user":
      case "user_or_guest":
        return await this.#admitUser(access, limit, call);
      case "repository_admin":
      case "domain_admin":
        return await this.#admitAdmin(access, limit, call);
      default:
        return access satisfies never;
    }
  }

  async #admitUser(audience: "user" | "user_or_guest", limit: Limited, call: OpenCall): Promise<Requesters["user"]> {
    return await this.#counted(limit, call, await this.#parts.access.requireUser(call.request, call.domain, audience));
  }

  async #admitAdmin(
    of: "repository_admin" | "domain_admin",
    limit: Limited,
    call: OpenCall,
  ): Promise<Requesters["user"]> {
    const { access } = this.#parts;
    const user = await this.#admitUser("user", limit, call);
    if (of === "repository_admin") access.requireRepositoryAdmin(user);
    else await access.requireDomainAdmin(user, call.domain);
    return user;
  }

  /** A refused token is not an error here. It has been counted as a failure. */
  async #admitBearer(limit: Limited, call: OpenCall): Promise<Requesters["token"]> {
    const bearer = await this.#parts.access.requireBearer(call.request, call.domain);
    return "kind" in bearer.judged ? await this.#counted(limit, call, bearer) : bearer;
  }

  async #admitServer(limit: Limited, call: OpenCall): Promise<Requesters["server"]> {
    const { access, domains, publishKey } = this.#parts;
    const { request } = call;
    const admitted = await access.requireServer(request, domains);
    const { server } = admitted;
    call.domain = server.domain;
    await this.#counted(limit, call, admitted);
    // Whatever comes of this request: the edge is to judge the next one of this server by itself.
    if (request.fromEdge) void publishKey?.(server.keys, server.domain);
    return { server };
  }

  async #counted<T extends { readonly counted: Counted }>(limit: Limited, call: OpenCall, admitted: T): Promise<T> {
    call.counted = admitted.counted;
    await this.#count(limit, call);
    return admitted;
  }

  async #count(limit: Limited, { request, counted }: OpenCall): Promise<void> {
    if (limit !== "none") await this.#parts.access.limits.checkRequest(counted, whatIsAsked(request, limit));
  }

  /** Media whose object turns out to be missing is looked for once more, when the row that named it is forgotten. */
  async #answer(route: Route, call: OpenCall, reply: FastifyReply): Promise<void> {
    const answer = await route.handle(call);
    try {
      await this.#send(call, reply, answer);
    } catch (error) {
      if (!(error instanceof LostObject) || !(await forget(answer))) throw error;
      await this.#send(call, reply, await route.handle(call));
    }
  }

  async #send(call: OpenCall, reply: FastifyReply, answer: Reply): Promise<void> {
    if ("body" in answer) writeAnswer(reply, answer);
    else if ("bytes" in answer) writeBytes(reply, answer.status, answer.headers, answer.bytes);
    else await this.#sendMedia(call, reply, answer);
  }

  async #sendMedia(call: OpenCall, reply: FastifyReply, { file, multipart }: MediaReply): Promise<void> {
    const { openShared, hotBodies } = this.#parts;
    const { limits } = this.#parts.access;
    const { counted } = call;
    // No answer waits for the edge's bucket.
    if (call.request.fromEdge) void (file ?? multipart).publish?.();
    if (multipart) await replyMultipart(reply, multipart.servable, { limits, counted, openShared });
    else if ("bytes" in file) await replyArriving(reply, file, { limits, counted });
    else {
      const { openRangeMaxBytes } = call.domain.policy;
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
  readonly #domains: Domains;
  #domain: Domain | undefined;

  constructor(request: RequestContext, domains: Domains, access: Access) {
    this.request = request;
    this.counted = access.nobody(request);
    this.#domains = domains;
  }

  /** Found on first use: some routes are served for any host. */
  get domain(): Domain {
    this.#domain ??= this.#domains.atHost(this.request.host);
    return this.#domain;
  }

  set domain(addressed: Domain) {
    this.#domain = addressed;
  }
}

/** Forgets the row of media that an answer was to be of. True: it may be found by asking once more. */
async function forget(answer: Reply): Promise<boolean> {
  if (!("file" in answer || "multipart" in answer)) return false;
  const media = answer.file ?? answer.multipart;
  return "forget" in media && (await media.forget());
}

/** Reads what the route wants to know, in this order: the first that is wrong is what the client is told. */
async function read(route: Route, call: OpenCall, { params }: FastifyRequest): Promise<void> {
  const { request } = call;
  if (route.params) call.params = route.params({ target: request.target, segments: params as PathOf["segments"] });
  if (route.query) call.query = route.query(request.query);
  if (route.body) call.body = await route.body.read(request);
}

/** So many ranges of one media count as one request for it: a player that is scrubbed, a download over many connections. */
const RANGES_PER_REQUEST = 32;

const SIZE = ["width", "height", "method", "animated"];

/**
 * What counts as the same thing: the path and, for a thumbnail, which one of the media it is. A range is a small part of a request for
 * it, so that all ranges of a download are about one; what they hold is charged in bytes, and each is a request among all others.
 */
function whatIsAsked(request: RequestContext, limit: Exclude<Limited, "none">): Asked {
  const { path, query } = request;
  if (limit === "thumbnail")
    return { what: `${path}?${SIZE.map((name) => query.get(name) ?? "").join("&")}`, weight: 1 };
  const isRange = limit === "download" && request.method === "GET" && isPart(request.header("range"));
  return { what: path, weight: isRange ? 1 / RANGES_PER_REQUEST : 1 };
}
