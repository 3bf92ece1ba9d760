import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { SigningKey } from "../../../shared/matrix/sign_json.ts";
import { signRequest } from "../../../shared/matrix/x_matrix.ts";
import { Deadline } from "../../net/deadline.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import { FetchError, type FetchFailure } from "../../net/fetch_error.ts";
import { redirectTarget } from "../../net/hop.ts";
import type { FetchOptions, SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { judgeAnswer, judgePeer } from "../peer_failure.ts";
import type { HostCircuits } from "./host_circuits.ts";
import type { ResolvedServer, ResolveServer } from "./resolve.ts";
import type { Target } from "./srv.ts";

/** As whom requests are signed: one of our server names with a key that its homeserver publishes. */
export interface SigningIdentity {
  serverName: string;
  keyId: string;
  privateKey: SigningKey;
}

/** A GET to another server. Times in milliseconds. */
export interface FederationGet {
  /** The server's name, before any delegation. */
  serverName: string;
  /** Path and query, in the very form that is to be signed and sent. */
  target: string;
  /** Absent: unsigned. */
  as?: SigningIdentity | undefined;
  maxBytes: number;
  /** For everything, from discovery to the last byte. */
  timeoutMs: number;
  /** For what follows discovery, within `timeoutMs`. */
  requestMs?: number;
  headersTimeoutMs?: number;
  idleTimeoutMs?: number;
  /**
   * Redirects to follow. Default 0: the redirecting answer is the answer. One too many is an error. As long as they stay with the
   * server, each request is signed for its own path; from elsewhere on none is.
   */
  redirects?: number;
  /** Ends everything. */
  signal?: AbortSignal;
}

/**
 * Asks another server: finds it, tries each place it may be at, and checks its certificate before anything is sent. Every
 * status is an answer. Throws a {@link FetchError}, or a `CircuitOpenError` if the server failed too often.
 */
export type FederationFetch = (request: FederationGet) => Promise<SafeResponse>;

/** What `makeFederationFetch` needs. */
export interface FederationParts {
  safeFetch: SafeFetch;
  resolve: ResolveServer;
  /** Absent: every request is sent, whatever came of those before, and counts for nothing. */
  circuits?: HostCircuits;
  clock: SteadyClock;
}

/** An answer, and the place that it is from. */
interface Asked {
  response: SafeResponse;
  server: ResolvedServer;
  target: Target;
}

/** Failures after which the next target is worth a try. */
const UNREACHED: ReadonlySet<FetchFailure> = new Set(["dns", "address", "connect", "tls", "timeout"]);

/** Makes the {@link FederationFetch}. */
export function makeFederationFetch(parts: FederationParts): FederationFetch {
  const { safeFetch, circuits, clock } = parts;

  return async (request) => {
    const untilMs = clock() + request.timeoutMs;
    const ask = () => askServer(request, untilMs);
    const asked = circuits
      ? await circuits.run(request.serverName, ask, judgePeer, ({ response }) => judgeAnswer(response))
      : await ask();
    // Whoever redirects is alive, whatever is to be found there.
    return request.redirects ? await follow(asked, request, request.redirects, untilMs) : asked.response;
  };

  async function askServer(request: FederationGet, endMs: number): Promise<Asked> {
    const server = await findServer(request);
    if (!server) throw new FetchError("url", `"${request.serverName}" is no server name`);
    const untilMs = Math.min(endMs, clock() + (request.requestMs ?? Number.POSITIVE_INFINITY));
    let failure: FetchError | undefined;
    for (const target of server.targets) {
      if (clock() >= untilMs) break;
      try {
        return { response: await fetchFrom(server, target, request, untilMs), server, target };
      } catch (error) {
        if (!(error instanceof FetchError) || !UNREACHED.has(error.failure)) throw error;
        failure = error;
      }
    }
    throw failure ?? outOfTime(request);
  }

  async function findServer({ serverName, timeoutMs, signal }: FederationGet): Promise<ResolvedServer | undefined> {
    const deadline = new Deadline(timeoutMs, signal);
    try {
      return await parts.resolve(serverName, { signal: deadline.signal });
    } finally {
      deadline.done();
    }
  }

  async function fetchFrom(server: ResolvedServer, target: Target, request: FederationGet, untilMs: number) {
    const { hostHeader, tlsName } = server;
    return await safeFetch(urlOf(server, target, request.target), {
      ...limitsOf(request, untilMs),
      via: { ...target, hostHeader, tlsName },
      headers: await headersOf(request),
    });
  }

  async function follow(
    asked: Asked,
    request: FederationGet,
    redirects: number,
    untilMs: number,
  ): Promise<SafeResponse> {
    const { server, target } = asked;
    const home = urlOf(server, target, "/").origin;
    let { response } = asked;
    let isHome = true;
    for (let followed = 0; ; followed += 1) {
      const url = redirectTarget(response.url, response.status, response.headers.get("location"));
      if (!url) return response;
      await response.body.cancel();
      if (followed === redirects) throw new FetchError("redirect", `More than ${redirects} redirects`);
      isHome &&= url.origin === home;
      response = isHome
        ? await fetchFrom(server, target, { ...request, target: url.pathname + url.search }, untilMs)
        : await safeFetch(url, limitsOf(request, untilMs));
    }
  }

  /** Throws when the time is over. */
  function limitsOf(request: FederationGet, untilMs: number): FetchOptions {
    const { maxBytes, headersTimeoutMs, idleTimeoutMs, signal } = request;
    const timeoutMs = untilMs - clock();
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
