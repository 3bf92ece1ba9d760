import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { takeBodyEnd } from "../../origin/http/request/request_body.ts";
import type { ServedDomain } from "../../shared/tiers/domain_policy.ts";
import { BODY_END_HEADER, bodyEndBytes, HOP_PATHS, type Hop, verifyHop } from "../../shared/tiers/hop.ts";
import type { LiveVerdict, VerdictScope } from "../../shared/tiers/verdict.ts";
import { PLAIN_POLICY } from "../support/plain_policy.ts";

/** One request as it reached the origin. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  /** What its signature proves; undefined without a valid one. */
  readonly hop: Hop | undefined;
  readonly bodyBytes: number;
  readonly bodySha256: string;
}

type Reply = (request: Received, response: ServerResponse) => void | Promise<void>;

/** The answer to a question for a verdict: a "yes", or a refusal. */
export type VerdictReply =
  | { readonly scope: VerdictScope; readonly verdict: Partial<LiveVerdict>; readonly afterMs?: number }
  | { readonly status: number; readonly body: unknown; readonly headers?: Record<string, string> };

/** The answer to a question for a domain: whose the host is, or a refusal. */
export type DomainReply = Partial<ServedDomain> | { readonly status: number; readonly body: unknown };

/** As much of an origin as the edge can see, over real HTTP. The edge's own tests use it to say what the origin says. */
export interface OriginDouble {
  readonly url: string;
  /** Requests that came in whole. */
  readonly received: Received[];
  /** Targets of all requests, from the moment their heads came in. */
  readonly begun: string[];
  /** By token. Others are refused with 401. */
  readonly verdicts: Map<string, VerdictReply>;
  /** By host. Others belong to `example.org`, where {@link PLAIN_POLICY} holds. */
  readonly domains: Map<string, DomainReply>;
  /** How often a verdict was asked for, by token. */
  verdictsAsked(token: string): number;
  /** How often a path (with its query) was asked for. */
  asked(path: string): number;
  /** Refuses a path without reading the body. */
  refuseEarly(path: string, status: number, body: unknown): void;
  /** Answers a path (without query) this way. */
  on(path: string, reply: Reply): void;
  /** Its time of day, by so many milliseconds other than the real one. */
  setByMs: number;
  close(): Promise<void>;
}

/** As at the origin. */
const MAX_HEADER_BYTES = 128 * 1024;

export const HOP_SECRET = "a secret of both tiers";

/** A verdict as the origin gives it: an hour long, and changed by `how`. */
export function liveVerdict(how: Partial<LiveVerdict> = {}): LiveVerdict {
  const exp = Date.now() + 3_600_000;
  return {
    v: 1,
    gen: 1,
    server_name: "example.org",
    user_id: "@a:example.org",
    is_guest: false,
    exp,
    policy: PLAIN_POLICY,
    ...how,
  };
}

/** Starts it on a free port of loopback. */
export async function startOriginDouble(): Promise<OriginDouble> {
  const received: Received[] = [];
  const verdicts = new Map<string, VerdictReply>();
  const domains = new Map<string, DomainReply>();
  const begun: string[] = [];
  const replies = new Map<string, Reply>();
  const refusals = new Map<string, { status: number; body: unknown }>();
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    void answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    begun.push(request.url ?? "");
    const refusal = refusals.get(request.url ?? "");
    if (refusal) {
      const body = JSON.stringify(refusal.body);
      const headers = { "content-type": "application/json", "content-length": body.length };
      response.writeHead(refusal.status, headers).end(body);
      return;
    }
    const seen = await receive(request, Date.now() + double.setByMs);
    received.push(seen);
    const path = seen.url.split("?", 1)[0] ?? "/";
    const reply = replies.get(path) ?? (seen.hop ? questions.get(path) : undefined) ?? replyUnknown;
    await reply(seen, response);
  }

  const questions = new Map<string, Reply>([
    [HOP_PATHS.verdict, replyVerdict],
    [HOP_PATHS.domain, replyDomain],
  ]);

  function replyDomain({ hop }: Received, response: ServerResponse): void {
    const reply = domains.get(hop?.host ?? "") ?? {};
    const refused = "status" in reply;
    response.writeHead(refused ? reply.status : 200, { "content-type": "application/json" });
    response.end(
      JSON.stringify(refused ? reply.body : { v: 1, server_name: "example.org", policy: PLAIN_POLICY, ...reply }),
    );
  }

  async function replyVerdict(seen: Received, response: ServerResponse): Promise<void> {
    const reply = verdicts.get(tokenOf(seen)) ?? {
      status: 401,
      body: { errcode: "M_UNKNOWN_TOKEN", error: "Unrecognised access token", soft_logout: true },
    };
    if ("scope" in reply) {
      await new Promise((resolve) => setTimeout(resolve, reply.afterMs ?? 0));
      const headers = { "content-type": "application/json", "mxcdn-verdict-scope": reply.scope };
      response.writeHead(200, headers).end(JSON.stringify(liveVerdict(reply.verdict)));
    } else {
      const headers = { "content-type": "application/json", ...reply.headers };
      response.writeHead(reply.status, headers).end(JSON.stringify(reply.body));
    }
  }

  const double: OriginDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    begun,
    verdicts,
    domains,
    verdictsAsked: (token) => received.filter((one) => one.url.startsWith("/_mxcdn/") && tokenOf(one) === token).length,
    asked: (path) => received.filter((one) => one.url === path).length,
    refuseEarly: (path, status, body) => void refusals.set(path, { status, body }),
    on: (path, reply) => void replies.set(path, reply),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
    setByMs: 0,
  };
  return double;
}

function replyUnknown(seen: Received, response: ServerResponse): void {
  response.writeHead(404, { "content-type": "application/json" });
  response.end(JSON.stringify({ errcode: "M_UNRECOGNIZED", error: `Unrecognized request: ${seen.url}` }));
}

async function receive(request: IncomingMessage, nowMs: number): Promise<Received> {
  const method = request.method ?? "";
  const { headers } = request;
  const header = (name: string) => headers[name] as string | undefined;
  const proven = await verifyHop(HOP_SECRET, method, header, nowMs);
  const hop = typeof proven === "string" ? undefined : proven;
  const hash = createHash("sha256");
  let bodyBytes = 0;
  const word = headers[BODY_END_HEADER];
  const body = word === undefined ? request : takeBodyEnd(request, bodyEndBytes(String(word)), () => new Error("cut"));
  for await (const chunk of body) {
    hash.update(chunk);
    bodyBytes += chunk.length;
  }
  return { method, url: request.url ?? "", headers, hop, bodyBytes, bodySha256: hash.digest("hex") };
}

function tokenOf(seen: Received): string {
  return /^Bearer (.+)$/.exec(seen.headers.authorization ?? "")?.[1] ?? "";
}
