import type { FastifyReply, FastifyRequest } from "fastify";
import { isPart } from "../../shared/http/byte_range.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Asked, Charge, Limits } from "../access/limits/limits.ts";
import type { Counted } from "../access/limits/subject.ts";
import type { Subject } from "../access/subject.ts";
import type { GiveVerdict } from "../access/tokens/verdict.ts";
import type { Authenticate } from "./authenticate.ts";
import type { AuthenticateServer } from "./authenticate_server.ts";
import { headerOf } from "./request/request_context.ts";
import type { Route } from "./server.ts";

/**
 * Where requests are counted (`access/limits`): each once, against who has sent it. One that says who it is from and cannot
 * show it counts against its address, which holds back those who guess tokens; nobody else answers for that, since many may share
 * an address.
 */

/** Routes that authenticate nobody: counted against the address, in all and by path. */
export function limitOpenRoutes(limits: Limits, routes: readonly Route[]): Route[] {
  return before(routes, async (request) => {
    await limits.checkRequest(countedAs(request, { kind: "anonymous" }), whatIsAsked(request));
  });
}

/** Authentication that counts the request against whom it turned out to be from. */
export function limitAuthenticate(limits: Limits, authenticate: Authenticate): Authenticate {
  return {
    async user(request, domain, audience) {
      const { clientAddress } = request.context;
      const user = await countingFailures(limits, clientAddress, authenticate.user(request, domain, audience));
      await limits.checkRequest(countedAs(request, user.subject), whatIsAsked(request));
      return user;
    },
    async optional(request, domain) {
      const subject = await authenticate.optional(request, domain);
      await limits.checkRequest(countedAs(request, subject), whatIsAsked(request));
      return subject;
    },
  };
}

/** Authentication of other servers that counts the request against the one it turned out to be from. */
export function limitServers(limits: Limits, authenticateServer: AuthenticateServer): AuthenticateServer {
  return async (request) => {
    const { clientAddress } = request.context;
    await limits.checkFailures(clientAddress);
    const server = await countingFailures(limits, clientAddress, authenticateServer(request));
    await limits.checkRequest({ kind: "server", serverName: server.serverName }, whatIsAsked(request));
    return server;
  };
}

/** Verdicts for the edge. Who is judged good is counted when the edge comes for more. */
export function limitVerdict(limits: Limits, giveVerdict: GiveVerdict): GiveVerdict {
  return (domain, credentials, from) =>
    countingFailures(limits, from.clientAddress, giveVerdict(domain, credentials, from));
}

/**
 * What `authenticating` finds; that it is refused counts against the address. A token that the homeserver knows to have been
 * somebody's (`soft_logout`) is no guess: whole crowds come with one that has expired a moment ago.
 */
async function countingFailures<T>(
  limits: Limits,
  address: string | undefined,
  authenticating: Promise<T>,
): Promise<T> {
  try {
    return await authenticating;
  } catch (error) {
    const isGuess = error instanceof MatrixError && error.status === 401 && error.extra.soft_logout !== true;
    if (isGuess) await limits.countFailure(address);
    throw error;
  }
}

/** As whom a request is counted. Repository administrators are exempt: they could as well change the limits. */
export function countedAs(request: FastifyRequest, subject: Subject): Counted {
  if (subject.kind === "anonymous") return { kind: "address", address: request.context.clientAddress };
  return { kind: "user", userId: subject.userId, exempt: subject.isRepositoryAdmin || subject.isUnlimited === true };
}

/** Settles a charge once the answer has ended, to what of its body the connection has taken. */
export function settleWhenSent(reply: FastifyReply, charge: Charge): void {
  const { raw, request } = reply;
  const { outcome, context } = request;
  const settle = () => {
    charge
      .settle(outcome.sentBytes)
      .catch((error: unknown) => context.log.warn({ error }, "cannot give back what was not sent"));
  };
  if (raw.closed) settle();
  else raw.once("close", settle);
}

/** So many ranges of one media count as one request for it: a player that is scrubbed, a download over many connections. */
const RANGES_PER_REQUEST = 32;

const DOWNLOAD = /^\/_matrix\/[^?]*\/download\//;
const THUMBNAIL = /^\/_matrix\/[^?]*\/thumbnail\//;
const SIZE = ["width", "height", "method", "animated"];

/**
 * What counts as the same thing: the path and, for a thumbnail, which one of the media it is. A range is a small part of a request for
 * it, so that all ranges of a download are about one; what they hold is charged in bytes, and each is a request among all others.
 */
function whatIsAsked(request: FastifyRequest): Asked {
  const [path = "", query] = request.context.target.split("?", 2);
  if (THUMBNAIL.test(path)) {
    const asked = new URLSearchParams(query);
    return { what: `${path}?${SIZE.map((name) => asked.get(name) ?? "").join("&")}`, weight: 1 };
  }
  const isRange = request.method === "GET" && DOWNLOAD.test(path) && isPart(headerOf(request, "range"));
  return { what: path, weight: isRange ? 1 / RANGES_PER_REQUEST : 1 };
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
