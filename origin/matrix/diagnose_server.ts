import type { SafeResponse } from "../net/fetch_answer.ts";
import { FetchError } from "../net/fetch_error.ts";
import type { SteadyClock } from "../platform/clock.ts";
import type { MakeId } from "../platform/ids.ts";
import type { Federation } from "./federation/federation.ts";
import type { DiscoveryStep, ResolvedServer } from "./federation/resolve.ts";
import type { Target } from "./federation/srv.ts";
import type { ServerKeys } from "./keys/server_keys.ts";
import type { SigningIdentity } from "./signing_keys.ts";

/** What another server is tried with. */
export interface DiagnosisParts {
  readonly steady: SteadyClock;
  readonly federation: Federation;
  readonly serverKeys: Pick<ServerKeys, "check">;
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

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 131_072;
const VERSION_PATH = "/_matrix/federation/v1/version";
const KEYS_PATH = "/_matrix/key/v2/server";

const LIMITS = { maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS };

/**
 * Walks the way to another server from its beginning on behalf of one of ours, nothing of it from memory: every question of
 * discovery, every place that came of it, its keys, and a signed request for media that nobody has. Everything that goes wrong is a
 * finding; the reasons hold names and addresses, and are for administrators only. `undefined`: the name is not a valid server name.
 *
 * What others met with does not show here, and what is met with here is not held against the server.
 */
export async function diagnoseServer(
  parts: DiagnosisParts,
  serverName: string,
  signAs: SigningIdentity | undefined,
  signal: AbortSignal,
): Promise<Diagnosis | undefined> {
  const { federation, steady } = parts;
  const steps: DiscoveryStep[] = [];
  const server = await federation.resolve(serverName, { fresh: true, onStep: (step) => steps.push(step), signal });
  if (!server) return undefined;
  const targets = [];
  for (const target of server.targets) {
    const ask = () => federation.askPlace(server, target, { path: VERSION_PATH, ...LIMITS, signal });
    targets.push({ target, version: await found(steady, async () => await jsonOf(await ask())) });
  }
  const keys = await found(steady, () => keysOf(parts, serverName, signal));
  const ourKey = await found(steady, () => tryOurKey(parts, serverName, signAs, signal));
  return { server, steps, targets, keys, ourKey };
}

async function found<T>(steady: SteadyClock, ask: () => Promise<T>): Promise<Finding<T>> {
  const startedMs = steady();
  try {
    const value = await ask();
    return { ok: true, value, tookMs: steady() - startedMs };
  } catch (error) {
    return { ok: false, reason: reasonOf(error), tookMs: steady() - startedMs };
  }
}

async function keysOf({ federation, serverKeys }: DiagnosisParts, serverName: string, signal: AbortSignal) {
  const response = await federation.getUncounted({ serverName, target: KEYS_PATH, ...LIMITS, signal });
  const { keys, validUntilMs } = await serverKeys.check(await jsonOf(response), serverName);
  return { keyIds: Object.keys(keys), validUntilMs };
}

/**
 * A server says that there is no such media only to one whose signature it has found to be good. That there is no such endpoint
 * it may say to anybody, so that shows nothing of our key.
 */
async function tryOurKey(
  { federation, makeMediaId }: DiagnosisParts,
  serverName: string,
  signAs: SigningIdentity | undefined,
  signal: AbortSignal,
) {
  if (!signAs)
    throw new Error("no signing key is configured (signingKeyPath): only unauthenticated media can be asked for");
  const target = `/_matrix/federation/v1/media/download/${makeMediaId()}?timeout_ms=0`;
  const response = await federation.getUncounted({ serverName, target, as: signAs, ...LIMITS, signal });
  const answer = `${response.status} ${(await response.text()).slice(0, 500)}`;
  return { keyId: signAs.keyId, accepted: response.status === 404 && answer.includes("M_NOT_FOUND"), answer };
}

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
