import type { FastifyReply, FastifyRequest } from "fastify";
import type { GiveVerdict } from "../pipelines/authenticate/verdict.ts";
import type { Subject } from "../pipelines/domain.ts";
import type { Charge, Limits } from "../pipelines/limits/limits.ts";
import type { Counted } from "../pipelines/limits/subject.ts";
import type { Authenticate } from "./authenticate.ts";
import type { AuthenticateServer } from "./authenticate_server.ts";
import type { Route } from "./server.ts";

/**
 * Where requests are counted (`pipelines/limits`). Each is counted against its address as it comes in, which holds back those
 * who guess tokens; once it has shown who it is from, it is counted there and no longer against the address, which many may share.
 */

/** Routes whose requests are counted as they come in. Those who authenticate are counted further by {@link limitAuthenticate}. */
export function limitRoutes(limits: Limits, routes: readonly Route[]): Route[] {
  return before(routes, (request) => limits.admit(request.context.clientAddress));
}

/** Routes that authenticate nobody: counted against the address, in all and by path. */
export function limitOpenRoutes(limits: Limits, routes: readonly Route[]): Route[] {
  return before(routes, async (request) => {
    await limits.admit(request.context.clientAddress);
    await limits.checkRequest(countedAs(request, { kind: "anonymous" }), whatIsAsked(request));
  });
}

/** Authentication that counts the request against whom it turned out to be from. */
export function limitAuthenticate(limits: Limits, authenticate: Authenticate): Authenticate {
  return {
    async user(request, domain, audience) {
      const user = await authenticate.user(request, domain, audience);
      await count(request, user.subject);
      return user;
    },
    async optional(request, domain) {
      const subject = await authenticate.optional(request, domain);
      await count(request, subject);
      return subject;
    },
  };

  async function count(request: FastifyRequest, subject: Subject): Promise<void> {
    const vouched = subject.kind === "user" ? limits.vouch(request.context.clientAddress) : undefined;
    await Promise.all([vouched, limits.checkRequest(countedAs(request, subject), whatIsAsked(request))]);
  }
}

/** Authentication of other servers that counts the request against the one it turned out to be from. */
export function limitServers(limits: Limits, authenticateServer: AuthenticateServer): AuthenticateServer {
  return async (request) => {
    const server = await authenticateServer(request);
    const { serverName } = server;
    await Promise.all([
      limits.vouch(request.context.clientAddress),
      limits.checkRequest({ kind: "server", serverName }, whatIsAsked(request)),
    ]);
    return server;
  };
}

/** Verdicts for the edge: a good one vouches for the address. The user is counted when the edge comes for more. */
export function limitVerdict(limits: Limits, giveVerdict: GiveVerdict): GiveVerdict {
  return async (domain, credentials, from) => {
    const given = await giveVerdict(domain, credentials, from);
    await limits.vouch(from.clientAddress);
    return given;
  };
}

/** As whom a request is counted. Repository administrators are exempt: they could as well change the limits. */
export function countedAs(request: FastifyRequest, subject: Subject): Counted {
  if (subject.kind === "anonymous") return { kind: "address", address: request.context.clientAddress };
  return { kind: "user", userId: subject.userId, exempt: subject.isRepositoryAdmin || subject.isUnlimited === true };
}

/**
 * Settles a charge once the answer has ended: to all of its `bytes` when it was sent whole, else to what the connection
 * took in the meantime. Counting there costs the bytes nothing on their way.
 */
export function settleWhenSent(reply: FastifyReply, bytes: number, charge: Charge): void {
  const { raw } = reply;
  const { socket } = raw;
  if (!socket || raw.closed) return void charge.settle(0);
  const before = socket.bytesWritten;
  raw.once("close", () => {
    void charge.settle(raw.writableFinished ? bytes : Math.min(bytes, socket.bytesWritten - before));
  });
}

const THUMBNAIL = /^\/_matrix\/[^?]*\/thumbnail\//;
const SIZE = ["width", "height", "method", "animated"];

/** What counts as the same thing: the path and, for a thumbnail, which one of the media it is. */
function whatIsAsked({ context: { target } }: FastifyRequest): string {
  const [path = "", query] = target.split("?", 2);
  if (!THUMBNAIL.test(path)) return path;
  const asked = new URLSearchParams(query);
  return `${path}?${SIZE.map((name) => asked.get(name) ?? "").join("&")}`;
}

function before(routes: readonly Route[], check: (request: FastifyRequest) => Promise<void>): Route[] {
  return routes.map((route) => ({
    ...route,
    async handle(request, reply) {
      await check(request);
      return await route.handle(request, reply);
    },
  }));
}
