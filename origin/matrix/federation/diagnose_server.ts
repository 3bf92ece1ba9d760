import type { SafeResponse } from "../../net/fetch_answer.ts";
import { FetchError } from "../../net/fetch_error.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import { readKeyAnswer } from "../keys/key_answer.ts";
import { type FederationFetch, type SigningIdentity, urlOf } from "./federation_request.ts";
import type { DiscoveryStep, ResolvedServer, ResolveServer } from "./resolve.ts";
import type { Target } from "./srv.ts";

/** What {@link makeDiagnoseServer} needs. */
export interface DiagnoseServerParts {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly resolve: ResolveServer;
  readonly safeFetch: SafeFetch;
  /** Without circuits: what others met with shall not show here, nor what is met with here to others. */
  readonly federationFetch: FederationFetch;
  readonly makeMediaId: MakeId;
}

/** One thing that was tried: what was learnt, or why nothing was. Times in milliseconds. */
export type Finding<T> =
  | { readonly ok: true; readonly value: T; readonly tookMs: number }
  | { readonly ok: false; readonly reason: string; readonly tookMs: number };

/** How another server was found, place by place, and what it said. */
export interface Diagnosis {
  readonly server: ResolvedServer;
  readonly steps: readonly DiscoveryStep[];
  /** Each place where the server may be, in the order to try, asked for its version. */
  readonly targets: readonly { readonly target: Target; readonly version: Finding<unknown> }[];
  readonly keys: Finding<{ readonly keyIds: readonly string[]; readonly validUntilMs: number }>;
  /** Whether the server has shown that it takes our signature for ours: it can only if it has found our key. */
  readonly ourKey: Finding<{ readonly keyId: string; readonly accepted: boolean; readonly answer: string }>;
}

/** Tries to reach another server on behalf of one of ours: see {@link makeDiagnoseServer}. `undefined`: that is no server name. */
export type DiagnoseServer = (
  serverName: string,
  signAs: SigningIdentity | undefined,
  signal: AbortSignal,
) => Promise<Diagnosis | undefined>;

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 131_072;
const VERSION_PATH = "/_matrix/federation/v1/version";
const KEYS_PATH = "/_matrix/key/v2/server";

/**
 * Walks the way to another server from its beginning, nothing of it from memory: every question of discovery, every place that
 * came of it, its keys, and a signed request for media that nobody has. Everything that goes wrong is a finding; the reasons hold
 * names and addresses, and are for administrators only.
 */
export function makeDiagnoseServer(parts: DiagnoseServerParts): DiagnoseServer {
  const { clock, steady, safeFetch, federationFetch } = parts;

  return async function diagnoseServer(serverName, signAs, signal) {
    const steps: DiscoveryStep[] = [];
    const server = await parts.resolve(serverName, { fresh: true, onStep: (step) => steps.push(step), signal });
    if (!server) return undefined;
    const targets = [];
    for (const target of server.targets) {
      targets.push({ target, version: await found(() => versionOf(server, target, signal)) });
    }
    const keys = await found(() => keysOf(serverName, signal));
    const ourKey = await found(() => tryOurKey(serverName, signAs, signal));
    return { server, steps, targets, keys, ourKey };
  };

  async function found<T>(ask: () => Promise<T>): Promise<Finding<T>> {
    const startedMs = steady();
    try {
      const value = await ask();
      return { ok: true, value, tookMs: steady() - startedMs };
    } catch (error) {
      return { ok: false, reason: reasonOf(error), tookMs: steady() - startedMs };
    }
  }

  /** Asks one place, where any other request would go on to the next. */
  async function versionOf(server: ResolvedServer, target: Target, signal: AbortSignal): Promise<unknown> {
    const { hostHeader, tlsName } = server;
    const response = await safeFetch(urlOf(server, target, VERSION_PATH), {
      reach: "public",
      httpsOnly: true,
      via: { ...target, hostHeader, tlsName },
      maxBytes: MAX_BYTES,
      timeoutMs: TIMEOUT_MS,
      signal,
    });
    return await jsonOf(response);
  }

  async function keysOf(serverName: string, signal: AbortSignal) {
    const response = await federationFetch({ serverName, target: KEYS_PATH, ...LIMITS, signal });
    const { keys, validUntilMs } = await readKeyAnswer(await jsonOf(response), serverName, clock());
    return { keyIds: Object.keys(keys), validUntilMs };
  }

  /**
   * A server says that there is no such media only to one whose signature it has found to be good. That there is no such endpoint
   * it may say to anybody, so that shows nothing of our key.
   */
  async function tryOurKey(serverName: string, signAs: SigningIdentity | undefined, signal: AbortSignal) {
    if (!signAs)
      throw new Error("no signing key is configured (signingKeyPath): only unauthenticated media can be asked for");
    const target = `/_matrix/federation/v1/media/download/${parts.makeMediaId()}?timeout_ms=0`;
    const response = await federationFetch({ serverName, target, as: signAs, ...LIMITS, signal });
    const answer = `${response.status} ${(await response.text()).slice(0, 500)}`;
    return { keyId: signAs.keyId, accepted: response.status === 404 && answer.includes("M_NOT_FOUND"), answer };
  }
}

const LIMITS = { maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS };

async function jsonOf(response: SafeResponse): Promise<unknown> {
  if (response.status === 200) return await response.json();
  throw new Error(`answered with status ${response.status}: ${(await response.text()).slice(0, 500)}`);
}

/** What an administrator can do something with: the error, and what lies behind it. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: unknown };
  const kind = error instanceof FetchError ? `${error.failure}: ` : "";
  const inner = cause instanceof Error ? ` (${reasonOf(cause)})` : "";
  return `${kind}${message ?? String(error)}${inner}`;
}
