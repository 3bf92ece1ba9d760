import type { Credentials } from "../shared/access_token.ts";
import { hopHeaders } from "../shared/hop_signature.ts";
import { MatrixError } from "../shared/matrix_error.ts";
import { type LiveVerdict, parseVerdict } from "../shared/verdict.ts";
import { readMatrixError } from "./read_matrix_error.ts";
import { sendableTarget } from "./request_target.ts";
import type { Visit } from "./visit.ts";

/** What the origin client needs. */
export interface OriginClientParts {
  readonly clock: () => number;
  /** Without a slash at its end. */
  readonly originUrl: string;
  readonly hopSecret: string;
  /** Longest wait for the first byte of an answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** A verdict, and whether it lies in the bucket too or is to be remembered here. */
export interface GivenVerdict {
  readonly verdict: LiveVerdict;
  readonly scope: "bucket" | "memory";
}

/** Everything the edge asks of the origin, each time by a signed hop. */
export interface OriginClient {
  /**
   * The client's request as it is, body streamed, and the origin's answer as it is, redirects included.
   * Errors: 404 for a path that cannot be sent as it is; 502 and 504 with `Retry-After` when the origin does not answer.
   */
  forward(visit: Visit): Promise<Response>;
  /** The origin's judgement of credentials. Errors: the refusal that the client must get; 502 and 504 as above. */
  verdict(visit: Visit, credentials: Credentials): Promise<GivenVerdict>;
}

/** Paths beneath this are between the tiers; no client reaches them. */
const INTERNAL_PATH = "/_mxcdn/";
const VERDICT_PATH = `${INTERNAL_PATH}v1/verdict`;
const VERDICT_SCOPE_HEADER = "mxcdn-verdict-scope";

/** An upload is answered when its last byte has come, however slow the client: only a wait without end is cut. */
const UPLOAD_TIMEOUT_MS = 3_600_000;

/** A homeserver is given 10 s by the origin. */
const VERDICT_TIMEOUT_MS = 20_000;

const RETRY_AFTER_MS = 5_000;

/** What clients may not tell the origin: hops, and the names by which proxies pass on who asked. */
const CLIENT_MAY_NOT_SEND = /^(?:mxcdn-|x-forwarded-|cf-|forwarded$|x-real-ip$|true-client-ip$|upgrade$|expect$)/;

/** Makes the client of the one origin of this edge. */
export function makeOriginClient(parts: OriginClientParts): OriginClient {
  async function signed(visit: Visit, method: string, target: string): Promise<Record<string, string>> {
    const { host, clientAddress, requestId } = visit;
    return await hopHeaders(parts.hopSecret, { method, target, host, clientAddress, requestId, timeMs: parts.clock() });
  }

  async function forward(visit: Visit): Promise<Response> {
    const { request } = visit;
    const target = sendableTarget(visit.target);
    if (target === undefined || isInternal(target)) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request");
    const bodiless = request.method === "GET" || request.method === "HEAD";
    const headers = forwardedHeaders(request.headers, bodiless);
    for (const [name, value] of Object.entries(await signed(visit, request.method, target))) headers.set(name, value);
    const body = bodiless ? null : request.body;
    const timeoutMs = body ? UPLOAD_TIMEOUT_MS : parts.timeoutMs;
    return await answered(timeoutMs, async (signal) => {
      const init = { method: request.method, headers, body, signal, redirect: "manual" } as const;
      const response = await fetch(parts.originUrl + target, init);
      demandOrigin(response);
      return response;
    });
  }

  async function verdict(visit: Visit, credentials: Credentials): Promise<GivenVerdict> {
    const target = VERDICT_PATH + identityQuery(credentials);
    const headers = { ...(await signed(visit, "POST", target)), authorization: `Bearer ${credentials.token}` };
    const timeoutMs = Math.min(parts.timeoutMs, VERDICT_TIMEOUT_MS);
    return await answered(timeoutMs, async (signal) => {
      const response = await fetch(parts.originUrl + target, { method: "POST", headers, signal, redirect: "manual" });
      demandOrigin(response);
      return readVerdict(response, await response.text());
    });
  }

  return { forward, verdict };
}

/** The client's headers without what it may not say. The bytes are passed on as they are, so nobody may encode them on the way. */
function forwardedHeaders(sent: Headers, bodiless: boolean): Headers {
  const headers = new Headers(sent);
  for (const name of [...headers.keys()]) if (CLIENT_MAY_NOT_SEND.test(name)) headers.delete(name);
  if (bodiless) for (const name of ["content-length", "transfer-encoding"]) headers.delete(name);
  headers.set("accept-encoding", "identity");
  return headers;
}

/** The origin's router decodes nothing and merges no slashes; a client that tries it with either is not even passed on. */
function isInternal(target: string): boolean {
  const path = target.split("?", 1)[0] ?? "";
  return path.replace(/%5f/gi, "_").replace(/^\/+/, "/").toLowerCase().startsWith(INTERNAL_PATH);
}

function identityQuery(credentials: Credentials): string {
  const query = new URLSearchParams();
  if (credentials.userId) query.set("user_id", credentials.userId);
  if (credentials.deviceId) query.set("device_id", credentials.deviceId);
  return query.size === 0 ? "" : `?${query}`;
}

function readVerdict(response: Response, text: string): GivenVerdict {
  if (response.status !== 200) throw refusalOf(response, text);
  const verdict = parseVerdict(text);
  if (!verdict || verdict.gone) throw badGateway("The origin gave no verdict");
  return { verdict, scope: response.headers.get(VERDICT_SCOPE_HEADER) === "bucket" ? "bucket" : "memory" };
}

/** An origin that knows no verdicts does not believe our signature (it does tell of hosts that it does not know). */
function refusalOf(response: Response, text: string): MatrixError {
  const error = readMatrixError(response, text);
  if (error.errcode !== "M_UNRECOGNIZED" || error.mrErrcode === "M_UNKNOWN_HOST") return error;
  return badGateway("The origin does not recognise this edge: HOP_SECRET and edge.hopSecret must be the same");
}

/**
 * Tells the origin's own errors from those of whatever stands in front of it (Cloudflare's 520 to 530, a proxy's page): the
 * client gets a Matrix error in either case.
 */
function demandOrigin(response: Response): void {
  const { status } = response;
  if (status < 500 || (status < 520 && /^application\/json\b/i.test(response.headers.get("content-type") ?? "")))
    return;
  throw status === 504 || status === 522 || status === 524 ? gatewayTimeout() : badGateway();
}

async function answered<T>(timeoutMs: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    return await ask(late.signal);
  } catch (thrown) {
    if (thrown instanceof MatrixError) throw thrown;
    throw late.signal.aborted
      ? gatewayTimeout(thrown)
      : badGateway("The origin is not reachable at the moment", thrown);
  } finally {
    clearTimeout(timer);
  }
}

function badGateway(message = "The origin is not reachable at the moment", cause?: unknown): MatrixError {
  return new MatrixError("M_UNKNOWN", message, { status: 502, retryAfterMs: RETRY_AFTER_MS, cause });
}

function gatewayTimeout(cause?: unknown): MatrixError {
  const message = "The origin did not answer in time";
  return new MatrixError("M_UNKNOWN", message, { status: 504, retryAfterMs: RETRY_AFTER_MS, cause });
}
