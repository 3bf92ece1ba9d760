import { LRUCache } from "lru-cache";
import { Failure } from "../../../shared/matrix/failure.ts";
import type { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { unauthorized } from "../../../shared/matrix/server_credentials.ts";
import { FetchError } from "../../net/fetch_error.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Ticket } from "../../platform/fair_queue.ts";
import type { FederationFetch } from "../federation/federation_request.ts";
import { type KeyPatience, makeFetchKeys } from "./fetch_keys.ts";
import { type KeptKeys, KeysRefusedError } from "./key_answer.ts";
import { keysBusy, makeKeyLines } from "./key_lines.ts";

/** Where key sets outlive the process and are shared by several. Only a hint: it may forget and it may fail. */
export interface KeyStore {
  /** Checked in its form; it may have expired. */
  read(serverName: string): Promise<KeptKeys | undefined>;
  write(keys: KeptKeys): Promise<void>;
}

/** A key that signs requests now. Times in milliseconds since the epoch. */
export interface ServerKey {
  serverName: string;
  keyId: string;
  /** In base64. */
  publicKey: string;
  /** From then on it proves nothing. */
  validUntilMs: number;
  /** Until then it is believed without asking its server again. */
  freshUntilMs: number;
  /** Drawn before its server was asked: of two answers about a key the one with the larger generation is true. */
  generation: number;
}

/** Keys that a server has had and does not list any more, or not with the same value. */
export interface WithdrawnKeys {
  serverName: string;
  keyIds: readonly string[];
}

/** The signing keys of other servers. */
export interface ServerKeys {
  /**
   * The key by which that server may sign requests at this moment; `undefined` if it has no such key (the request gets 401).
   * `asker`: on whose account its server is asked, where it must be; nobody gets more than a part of what can be asked at once.
   * Throws `peer_failed`, the reason as its cause, if the keys could not be had, and 401 `M_UNAUTHORIZED` if they could, but prove
   * nothing; `busy` if there was no time to ask for them.
   */
  find(serverName: string, keyId: string, asker: string): Promise<ServerKey | undefined>;
}

/** What `makeServerKeys` needs. */
export interface ServerKeysParts {
  federationFetch: FederationFetch;
  clock: Clock;
  steady: SteadyClock;
  /** Larger than all generations that were drawn before, by any process. */
  drawGeneration: () => Promise<number>;
  /** Told of keys that a server has withdrawn before anybody relies on what came in their place. */
  onWithdrawn?: ((withdrawn: WithdrawnKeys) => Promise<void>) | undefined;
  store?: KeyStore;
  /** Servers that are asked where a server can't be asked itself; default none. */
  notaries?: readonly string[];
  /** How long anybody waits until a server is asked, in milliseconds; default 5 s. */
  waitMs?: number;
}

/** Why keys could not be had, or believed, and when their server is asked again, by the steady clock. */
interface FailedFetch {
  readonly retryAtMs: number;
  /** In a row. */
  readonly failures: number;
  readonly isRefused: boolean;
  readonly error: unknown;
}

/** Keys in the memory of this process, with the time of the steady clock when they were fetched. */
type Known = KeptKeys & { readonly fetchedSteadyMs: number };

const MAX_SERVERS = 5_000;
const MAX_FAILURES = 10_000;
const WAIT_MS = 5_000;
/** A server is asked about a key id that it did not list at most this often. */
const UNKNOWN_KEY_MS = 60_000;
/** Nobody tells us that a key was withdrawn, so a server in use is asked again after this time at most. */
const FRESH_MS = 3_600_000;
/** After a failure a server is asked again after this time, twice as long each time. The first request after it is back must soon be believed. */
const FIRST_RETRY_MS = 10_000;
const MAX_RETRY_MS = 80_000;
/** Anybody can name servers to us that never answer: one that we never had keys of is not waited for as long. */
const FIRST_CONTACT: KeyPatience = { requestMs: 5_000, wholeMs: 15_000 };
const ACQUAINTANCE: KeyPatience = { requestMs: 15_000, wholeMs: 30_000 };

/** Makes the {@link ServerKeys} with their bounded memory. */
export function makeServerKeys(parts: ServerKeysParts): ServerKeys {
  const { clock, steady, store, drawGeneration } = parts;
  /** Also those that have expired: their servers are acquaintances. */
  const known = new LRUCache<string, Known>({ max: MAX_SERVERS });
  const failed = new LRUCache<string, FailedFetch>({ max: MAX_FAILURES });
  const fetching = new Map<string, { ticket: Ticket; keys: Promise<Known> }>();
  const lines = makeKeyLines(parts.waitMs ?? WAIT_MS);
  const direct = { federationFetch: parts.federationFetch, clock };
  const fetchOfNotary = makeFetchKeys({
    ...direct,
    notaries: [],
    notaryKeys: () => Promise.reject(new Error("unused")),
  });
  const fetchKeys = makeFetchKeys({ ...direct, notaries: parts.notaries ?? [], notaryKeys: keysOfNotary });

  return {
    async find(serverName, keyId, asker) {
      const remembered = await recall(serverName, keyId);
      if (remembered && Object.hasOwn(remembered.keys, keyId)) {
        if (ageOf(remembered) >= freshForMs(remembered)) refresh(serverName, asker).catch(() => {});
        return pick(remembered, keyId);
      }
      if (remembered && ageOf(remembered) < UNKNOWN_KEY_MS) return undefined;
      return pick(await refresh(serverName, asker), keyId);
    },
  };

  /** The valid keys that we remember, or that the store does if it may know better. */
  async function recall(serverName: string, keyId: string): Promise<Known | undefined> {
    const own = known.get(serverName);
    if (own && suffices(own, keyId)) return own;
    const stored = await store?.read(serverName).catch(() => undefined);
    if (stored && (!own || own.generation < stored.generation)) remember(stored);
    const best = known.get(serverName);
    return best && clock() < best.validUntilMs ? best : undefined;
  }

  /** They were fetched as long ago as the time of day says, and from now on they age by the steady clock. */
  function remember(keys: KeptKeys): Known {
    const remembered = { ...keys, fetchedSteadyMs: steady() - Math.max(0, clock() - keys.fetchedAtMs) };
    known.set(keys.serverName, remembered);
    return remembered;
  }

  function ageOf({ fetchedSteadyMs }: Known): number {
    return steady() - fetchedSteadyMs;
  }

  /** Whether nobody else need be asked about a key. */
  function suffices(keys: Known, keyId: string): boolean {
    const forMs = Object.hasOwn(keys.keys, keyId) ? freshForMs(keys) : UNKNOWN_KEY_MS;
    return ageOf(keys) < forMs && clock() < keys.validUntilMs;
  }

  function pick(keys: Known, keyId: string): ServerKey | undefined {
    const { serverName, validUntilMs, generation } = keys;
    const publicKey = Object.hasOwn(keys.keys, keyId) ? keys.keys[keyId] : undefined;
    if (publicKey === undefined) return undefined;
    const freshUntilMs = Math.min(validUntilMs, clock() + freshForMs(keys) - ageOf(keys));
    return { serverName, keyId, publicKey, validUntilMs, freshUntilMs, generation };
  }

  /** Asks the server, once for all who want to know. */
  async function refresh(serverName: string, asker: string): Promise<Known> {
    const running = fetching.get(serverName);
    running?.ticket.support(lines.claimOf(asker));
    if (running) return await running.keys;
    const failure = failed.get(serverName);
    const waitMs = (failure?.retryAtMs ?? 0) - steady();
    if (failure && waitMs > 0) throw errorOf(failure, waitMs);
    const ticket = lines.ticket(asker, known.has(serverName));
    const keys = ticket
      .run(() => fetchAndKeep(serverName, failure?.failures ?? 0))
      .finally(() => fetching.delete(serverName));
    fetching.set(serverName, { ticket, keys });
    return await keys;
  }

  async function fetchAndKeep(serverName: string, failures: number): Promise<Known> {
    const before = known.get(serverName);
    const generation = await drawGeneration();
    const fetched = await fetchKeys(serverName, before ? ACQUAINTANCE : FIRST_CONTACT).catch((error) => {
      if (error instanceof FetchError && error.failure === "busy") throw keysBusy();
      const isRefused = error instanceof KeysRefusedError;
      // A server that answers costs little to ask, and is told at once that it is not believed: it can mend that at any moment.
      const waitMs = isRefused ? FIRST_RETRY_MS : Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), MAX_RETRY_MS);
      const failure = { retryAtMs: steady() + waitMs, failures: isRefused ? 0 : failures + 1, isRefused, error };
      failed.set(serverName, failure);
      throw errorOf(failure, waitMs);
    });
    failed.delete(serverName);
    const keys = { ...fetched, generation };
    const keyIds = withdrawn(before, keys);
    if (keyIds.length > 0) await parts.onWithdrawn?.({ serverName, keyIds });
    const remembered = remember(keys);
    await store?.write(keys).catch(() => {});
    return remembered;
  }

  async function keysOfNotary(notary: string, patience: KeyPatience): Promise<KeptKeys> {
    const own = known.get(notary);
    if (own && clock() < own.validUntilMs) return own;
    const generation = await drawGeneration();
    const keys = { ...(await fetchOfNotary(notary, patience)), generation };
    remember(keys);
    return keys;
  }
}

/** Halfway to their end at the latest keys are fetched again, while they can still be used. */
function freshForMs({ fetchedAtMs, validUntilMs }: KeptKeys): number {
  return Math.min(Math.floor((validUntilMs - fetchedAtMs) / 2), FRESH_MS);
}

function withdrawn(before: KeptKeys | undefined, { keys }: KeptKeys): string[] {
  return Object.keys(before?.keys ?? {}).filter((keyId) => before?.keys[keyId] !== keys[keyId]);
}

function errorOf({ isRefused, error: cause }: FailedFetch, retryAfterMs: number): Failure | MatrixError {
  if (isRefused) return unauthorized("The signing keys of the requesting server prove nothing", cause);
  return new Failure("peer_failed", "Cannot get the signing keys of the requesting server", { cause, retryAfterMs });
}
