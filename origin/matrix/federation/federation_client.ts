import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import { FetchError, type FetchFailure } from "../../net/fetch_error.ts";
import type { FetchOptions, SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { timeout } from "../../platform/time.ts";
import { judgeAnswer, judgePeer } from "../peer_failure.ts";
import { signRequest } from "../signing.ts";
import type { SigningIdentity } from "../signing_keys.ts";
import type { HostCircuits } from "./host_circuits.ts";
import type { ResolvedServer, ServerResolver } from "./resolve.ts";
import type { Target } from "./srv.ts";

/** A GET to another server. Times in milliseconds. */
export interface FederationGet {
  /** The server's name, before any delegation. */
  readonly serverName: string;
  /** Path and query, in the very form that is to be signed and sent. */
  readonly target: string;
  /** Absent: unsigned. */
  readonly as?: SigningIdentity | undefined;
  readonly maxBytes: number;
  /** For everything, from discovery to the last byte. */
  readonly timeoutMs: number;
  /** For what follows discovery, within `timeoutMs`. */
  readonly requestMs?: number;
  readonly headersTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  /**
   * Redirects to follow. Default 0: the redirecting answer is the answer. One too many is an error. As long as they stay with the
   * server, each request is signed for its own path; from elsewhere on none is.
   */
  readonly redirects?: number;
  /** Ends everything. */
  readonly signal?: AbortSignal;
}

/** What other servers are asked with. */
export interface FederationClientParts {
  readonly safeFetch: SafeFetch;
  readonly resolver: Pick<ServerResolver, "resolve">;
  /** Absent: every request is sent, whatever came of those before, and counts for nothing. */
  readonly circuits?: HostCircuits;
  readonly clock: SteadyClock;
}

/** An answer, and the place that it is from. */
interface Asked {
  readonly response: SafeResponse;
  readonly server: ResolvedServer;
  readonly target: Target;
}

/** Failures after which the next target is worth a try. */
const UNREACHED: ReadonlySet<FetchFailure> = new Set(["dns", "address", "connect", "tls", "timeout"]);

/** Asks other servers, and signs what it asks. */
export class FederationClient {
  readonly #parts: FederationClientParts;

  constructor(parts: FederationClientParts) {
    this.#parts = parts;
  }

  /**
   * Asks another server: finds it, tries each place it may be at, and checks its certificate before anything is sent. Every
   * status is an answer. Throws a {@link FetchError}, or a `CircuitOpenError` if the server failed too often.
   */
  async get(request: FederationGet): Promise<SafeResponse> {
    const { circuits, clock } = this.#parts;
    const untilMs = clock() + request.timeoutMs;
    const ask = () => this.#ask(request, untilMs);
    const asked = circuits
      ? await circuits.run(request.serverName, ask, judgePeer, ({ response }) => judgeAnswer(response))
      : await ask();
    // A server that redirects is alive, whatever is found at the other place.
    return request.redirects ? await this.#follow(asked, request, request.redirects, untilMs) : asked.response;
  }

  async #ask(request: FederationGet, endMs: number): Promise<Asked> {
    const { clock } = this.#parts;
    const server = await this.#find(request);
    if (!server) throw new FetchError("url", `"${request.serverName}" is not a valid server name`);
    const untilMs = Math.min(endMs, clock() + (request.requestMs ?? Number.POSITIVE_INFINITY));
    let failure: FetchError | undefined;
    for (const target of server.targets) {
      if (clock() >= untilMs) break;
      try {
        return { response: await this.#fetchFrom(server, target, request, untilMs), server, target };
      } catch (error) {
        if (!(error instanceof FetchError) || !UNREACHED.has(error.failure)) throw error;
        failure = error;
      }
    }
    throw failure ?? outOfTime(request);
  }

  async #find({ serverName, timeoutMs, signal }: FederationGet): Promise<ResolvedServer | undefined> {
    const limit = timeout(timeoutMs, signal);
    try {
      return await this.#parts.resolver.resolve(serverName, { signal: limit });
    } catch (error) {
      if (!limit.aborted) throw error;
      if (signal?.aborted) throw new FetchError("aborted", "The caller gave up", error);
      throw new FetchError("timeout", `"${serverName}" was not found within ${timeoutMs} ms`, error);
    }
  }

  async #fetchFrom(server: ResolvedServer, target: Target, request: FederationGet, untilMs: number) {
    const { hostHeader, tlsName } = server;
    return await this.#parts.safeFetch(urlOf(server, target, request.target), {
      ...this.#limitsOf(request, untilMs),
      via: { ...target, hostHeader, tlsName },
      headers: await headersOf(request),
    });
  }

  async #follow(
    { server, target, response: first }: Asked,
    request: FederationGet,
    redirects: number,
    untilMs: number,
  ): Promise<SafeResponse> {
    const home = urlOf(server, target, "/").origin;
    let response = first;
    let isHome = true;
    for (let followed = 0; ; followed += 1) {
      const url = response.redirectsTo;
      if (!url) return response;
      await response.body.cancel();
      if (followed === redirects) throw new FetchError("redirect", `More than ${redirects} redirects`);
      isHome &&= url.origin === home;
      response = isHome
        ? await this.#fetchFrom(server, target, { ...request, target: url.pathname + url.search }, untilMs)
        : await this.#parts.safeFetch(url, this.#limitsOf(request, untilMs));
    }
  }

  /** Throws when the time is over. */
  #limitsOf(request: FederationGet, untilMs: number): FetchOptions {
    const { maxBytes, headersTimeoutMs, idleTimeoutMs, signal } = request;
    const timeoutMs = untilMs - this.#parts.clock();
    if (timeoutMs <= 0) throw outOfTime(request);
    return {
      ...{ reach: "public", httpsOnly: true, maxBytes, timeoutMs },
      ...(headersTimeoutMs === undefined ? {} : { headersTimeoutMs }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(signal ? { signal } : {}),
    };
  }
}

function outOfTime({ serverName }: FederationGet): FetchError {
  return new FetchError("timeout", `No time left to ask "${serverName}"`);
}

async function headersOf({ as, serverName, target }: FederationGet): Promise<Record<string, string>> {
  if (!as) return {};
  const signed = { method: "GET", uri: target, origin: as.serverName, destination: serverName };
  return { authorization: await signRequest(signed, as.keyId, as.privateKey) };
}

/**
 * The URL of a request to one target of a server, with the port that is dialled, so that a relative redirect stays there and an
 * absolute one is an ordinary URL. Throws a {@link FetchError} for a path that would not be sent as it is.
 */
export function urlOf({ hostHeader }: ResolvedServer, { port }: Target, target: string): URL {
  const name = parseServerName(hostHeader);
  const host = name?.kind === "ipv6" ? `[${name.host}]` : name?.host;
  const url = URL.parse(`https://${host}:${port}${target}`);
  // What was signed must be what is sent.
  if (!url || url.pathname + url.search !== target) throw new FetchError("url", "This path would not be sent as it is");
  return url;
}
