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
import { type EdgeRequest, isInternal, urlTarget } from "../request.ts";
import type { Clock } from "../steady_clock.ts";
import { answered, badGateway, readMatrixError, requireOrigin, unrecognised } from "./gateway.ts";
import { forwardedHeaders, provenBody } from "./headers.ts";
import { timeoutFor } from "./timeouts.ts";

/** Where the origin is, and how to ask it. */
export interface OriginClientOptions {
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

/** In milliseconds: the origin gives a homeserver 10 s. */
const VERDICT_TIMEOUT_MS = 20_000;

/** In milliseconds: the origin answers this by itself. */
const DOMAIN_TIMEOUT_MS = 5_000;

/** A question of the edge itself. */
interface Question {
  readonly method: "GET" | "POST";
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/**
 * Everything the edge asks of the origin, each time by a signed hop. Errors of all: `peer_failed` and `peer_slow` when the origin
 * does not answer.
 */
export class OriginClient {
  readonly #options: OriginClientOptions;

  constructor(options: OriginClientOptions) {
    this.#options = options;
  }

  /** The client's request as it is, body streamed, and the origin's answer as it is, redirects included. Errors: 404 for a path between the tiers. */
  async forward(edgeRequest: EdgeRequest): Promise<Response> {
    const { request, target } = edgeRequest;
    if (isInternal(target)) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request");
    const { method } = request;
    const headers = forwardedHeaders(request);
    const hop = await this.#sign(edgeRequest, method, target);
    const { body, headers: proof } = provenBody(request, crypto.randomUUID());
    for (const [name, value] of Object.entries({ ...hop, ...proof })) headers.set(name, value);
    return await answered(timeoutFor(edgeRequest, this.#options.timeoutMs), async (signal) => {
      const init = { method, headers, body, signal, redirect: "manual" } as const;
      const response = await fetch(this.#options.originUrl + urlTarget(target), init);
      await requireOrigin(response);
      return response;
    });
  }

  /** The origin's judgement of credentials. Errors: the refusal that the client must get. */
  async verdict(request: EdgeRequest, credentials: Credentials): Promise<GivenVerdict> {
    const target = HOP_PATHS.verdict + identityQuery(credentials);
    const headers = { authorization: `Bearer ${credentials.token}` };
    return await this.#ask(request, { method: "POST", target, headers, timeoutMs: VERDICT_TIMEOUT_MS }, readVerdict);
  }

  /** Whose the host of the request is. Errors: the refusal of a host that nobody serves. */
  async domain(request: EdgeRequest): Promise<ServedDomain> {
    return await this.#ask(
      request,
      { method: "GET", target: HOP_PATHS.domain, timeoutMs: DOMAIN_TIMEOUT_MS },
      readDomain,
    );
  }

  /** Reads the whole answer within the time. */
  async #ask<T>(request: EdgeRequest, question: Question, read: (answer: Response, text: string) => T): Promise<T> {
    const { method, target } = question;
    const headers = { ...(await this.#sign(request, method, target)), ...question.headers };
    return await answered(Math.min(this.#options.timeoutMs, question.timeoutMs), async (signal) => {
      const response = await fetch(this.#options.originUrl + target, { method, headers, signal, redirect: "manual" });
      await requireOrigin(response);
      const text = await response.text();
      if (response.status !== 200) throw refusalOf(response, text);
      return read(response, text);
    });
  }

  async #sign(request: EdgeRequest, method: string, target: string): Promise<Record<string, string>> {
    const { host, clientAddress, requestId } = request;
    const { hopSecret, clock } = this.#options;
    return await hopHeaders(hopSecret, { method, target, host, clientAddress, requestId, timeMs: clock() });
  }
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
function refusalOf(response: Response, text: string): Error {
  const error = readMatrixError(response, text);
  if (error.errcode !== "M_UNRECOGNIZED" || error.mrErrcode === "M_UNKNOWN_HOST") return error;
  return unrecognised();
}
