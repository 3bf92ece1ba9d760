import type { Credentials } from "../../shared/matrix/access_token.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { parseServedDomain, type ServedDomain } from "../../shared/tiers/domain_policy.ts";
import { HOP_PATHS, hopHeaders } from "../../shared/tiers/hop.ts";
import {
  type LiveVerdict,
  parseVerdict,
  parseVerdictScope,
  VERDICT_SCOPE_HEADER,
  type VerdictScope,
} from "../../shared/tiers/verdict.ts";
import { readMatrixError } from "../decide/read_matrix_error.ts";
import { isInternal, urlTarget } from "../request_target.ts";
import type { Clock } from "../steady_clock.ts";
import type { Visit } from "../visit.ts";
import { provenBody } from "./forwarded_body.ts";
import { forwardedHeaders } from "./forwarded_headers.ts";
import { answered, badGateway, demandOrigin, unrecognised } from "./gateway.ts";
import { patienceFor } from "./patience.ts";

/** What the origin client needs. */
export interface OriginClientParts {
  readonly clock: Clock;
  /** Without a slash at its end. */
  readonly originUrl: string;
  readonly hopSecret: string;
  /** Longest wait for the first byte of an answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** A verdict, and for how long: see `shared/tiers/verdict`. */
export interface GivenVerdict {
  readonly verdict: LiveVerdict;
  readonly scope: VerdictScope;
}

/** Everything the edge asks of the origin, each time by a signed hop. Errors of all: 502 and 504 with `Retry-After` when the origin does not answer. */
export interface OriginClient {
  /** The client's request as it is, body streamed, and the origin's answer as it is, redirects included. Errors: 404 for a path between the tiers. */
  forward(visit: Visit): Promise<Response>;
  /** The origin's judgement of credentials. Errors: the refusal that the client must get. */
  verdict(visit: Visit, credentials: Credentials): Promise<GivenVerdict>;
  /** Whose the host of the visit is. Errors: the refusal of a host that nobody serves. */
  domain(visit: Visit): Promise<ServedDomain>;
}

/** A homeserver is given 10 s by the origin. */
const VERDICT_TIMEOUT_MS = 20_000;

/** The origin need ask nobody. */
const DOMAIN_TIMEOUT_MS = 5_000;

/** A question of the edge itself. */
interface Question {
  readonly method: "GET" | "POST";
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Makes the client of the one origin of this edge. */
export function makeOriginClient(parts: OriginClientParts): OriginClient {
  async function signed(visit: Visit, method: string, target: string): Promise<Record<string, string>> {
    const { host, clientAddress, requestId } = visit;
    return await hopHeaders(parts.hopSecret, { method, target, host, clientAddress, requestId, timeMs: parts.clock() });
  }

  /** Reads the whole answer within the time. */
  async function ask<T>(visit: Visit, question: Question, read: (answer: Response, text: string) => T): Promise<T> {
    const { method, target } = question;
    const headers = { ...(await signed(visit, method, target)), ...question.headers };
    return await answered(Math.min(parts.timeoutMs, question.timeoutMs), async (signal) => {
      const response = await fetch(parts.originUrl + target, { method, headers, signal, redirect: "manual" });
      await demandOrigin(response);
      const text = await response.text();
      if (response.status !== 200) throw refusalOf(response, text);
      return read(response, text);
    });
  }

  return {
    async forward(visit) {
      const { request, target } = visit;
      if (isInternal(target)) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request");
      const { method } = request;
      const headers = forwardedHeaders(request);
      const hop = await signed(visit, method, target);
      const { body, headers: proof } = provenBody(request, crypto.randomUUID());
      for (const [name, value] of Object.entries({ ...hop, ...proof })) headers.set(name, value);
      return await answered(patienceFor(visit, parts.timeoutMs), async (signal) => {
        const init = { method, headers, body, signal, redirect: "manual" } as const;
        const response = await fetch(parts.originUrl + urlTarget(target), init);
        await demandOrigin(response);
        return response;
      });
    },

    async verdict(visit, credentials) {
      const target = HOP_PATHS.verdict + identityQuery(credentials);
      const headers = { authorization: `Bearer ${credentials.token}` };
      return await ask(visit, { method: "POST", target, headers, timeoutMs: VERDICT_TIMEOUT_MS }, readVerdict);
    },

    async domain(visit) {
      return await ask(visit, { method: "GET", target: HOP_PATHS.domain, timeoutMs: DOMAIN_TIMEOUT_MS }, readDomain);
    },
  };
}

function identityQuery(credentials: Credentials): string {
  const query = new URLSearchParams();
  if (credentials.userId) query.set("user_id", credentials.userId);
  if (credentials.deviceId) query.set("device_id", credentials.deviceId);
  return query.size === 0 ? "" : `?${query}`;
}

function readVerdict(response: Response, text: string): GivenVerdict {
  const verdict = parseVerdict(text);
  if (!verdict || verdict.gone) throw badGateway("The origin gave no verdict");
  return { verdict, scope: parseVerdictScope(response.headers.get(VERDICT_SCOPE_HEADER)) };
}

function readDomain(_response: Response, text: string): ServedDomain {
  const domain = parseServedDomain(text);
  if (!domain) throw badGateway("The origin does not say whose this host is");
  return domain;
}

/** An origin that knows no such question has no edge configured, or is older (it does tell of hosts that it does not know). */
function refusalOf(response: Response, text: string): MatrixError {
  const error = readMatrixError(response, text);
  if (error.errcode !== "M_UNRECOGNIZED" || error.mrErrcode === "M_UNKNOWN_HOST") return error;
  return unrecognised();
}
