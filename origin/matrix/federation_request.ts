import { parseServerName } from "../../shared/server_name.ts";
import type { SigningKey } from "../../shared/sign_json.ts";
import { signRequest } from "../../shared/x_matrix.ts";
import type { SafeResponse } from "../net/fetch_answer.ts";
import { FetchError, type FetchFailure } from "../net/fetch_error.ts";
import type { SafeFetch } from "../net/safe_fetch.ts";
import type { Clock } from "../platform/clock.ts";
import type { Judgement } from "./circuit.ts";
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
  /** For everything but discovery. */
  timeoutMs: number;
  headersTimeoutMs?: number;
  idleTimeoutMs?: number;
  redirects?: number;
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
  circuits: HostCircuits;
  clock: Clock;
}

/** Failures after which the next target is worth a try. */
const UNREACHED: ReadonlySet<FetchFailure> = new Set(["dns", "address", "connect", "tls", "timeout"]);

/** Makes the {@link FederationFetch}. */
export function makeFederationFetch(parts: FederationParts): FederationFetch {
  return (request) => parts.circuits.run(request.serverName, () => fetchOnce(request), judgeError, judgeAnswer);

  async function fetchOnce(request: FederationGet): Promise<SafeResponse> {
    const server = await parts.resolve(request.serverName);
    if (!server) throw new FetchError("url", `"${request.serverName}" is no server name`);
    const headers = await headersOf(request);
    const untilMs = parts.clock() + request.timeoutMs;
    let failure: FetchError | undefined;
    for (const target of server.targets) {
      const leftMs = untilMs - parts.clock();
      if (leftMs <= 0) break;
      try {
        return await fetchFrom(server, target, request, headers, leftMs);
      } catch (error) {
        if (!(error instanceof FetchError) || !UNREACHED.has(error.failure)) throw error;
        failure = error;
      }
    }
    throw failure ?? new FetchError("timeout", `No time left to ask "${request.serverName}"`);
  }

  async function fetchFrom(
    server: ResolvedServer,
    target: Target,
    request: FederationGet,
    headers: Record<string, string>,
    timeoutMs: number,
  ): Promise<SafeResponse> {
    const { hostHeader, tlsName } = server;
    const { maxBytes, redirects, headersTimeoutMs, idleTimeoutMs, signal } = request;
    return await parts.safeFetch(urlOf(server, target, request.target), {
      reach: "public",
      httpsOnly: true,
      via: { ...target, hostHeader, tlsName },
      headers,
      maxBytes,
      timeoutMs,
      ...(redirects === undefined ? {} : { redirects }),
      ...(headersTimeoutMs === undefined ? {} : { headersTimeoutMs }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(signal ? { signal } : {}),
    });
  }
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

function judgeError(error: unknown): Judgement {
  const failure = error instanceof FetchError ? error.failure : undefined;
  return failure === "aborted" || failure === "busy" || failure === "url" ? "nothing" : "down";
}

/** A Matrix server that is busy or waits for an upload says so in JSON; what stands before one that is down does not. */
function judgeAnswer({ status, headers }: SafeResponse): Judgement {
  if (status < 500) return "alive";
  return headers.get("content-type")?.includes("json") ? "nothing" : "down";
}
