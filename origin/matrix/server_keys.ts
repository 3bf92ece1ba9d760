import { LRUCache } from "lru-cache";
import { MatrixError } from "../../shared/matrix_error.ts";
import type { Clock } from "../platform/clock.ts";
import { SingleFlight } from "../platform/single_flight.ts";
import { WorkQueue } from "../platform/work_queue.ts";
import type { FederationFetch } from "./federation_request.ts";
import { makeFetchKeys } from "./fetch_keys.ts";
import type { KeySet } from "./key_answer.ts";

/** Where key sets outlive the process and are shared by several. Only a hint: it may forget and it may fail. */
export interface KeyStore {
  read(serverName: string): Promise<KeySet | undefined>;
  write(keySet: KeySet): Promise<void>;
}

/** A key that signs requests now. */
export interface ServerKey {
  serverName: string;
  keyId: string;
  /** In base64. */
  publicKey: string;
  /** Milliseconds since the epoch. */
  validUntilMs: number;
}

/** The signing keys of other servers. */
export interface ServerKeys {
  /**
   * The key by which that server may sign requests at this moment; `undefined` if it has no such key (the request gets 401).
   * Throws 502 `M_UNKNOWN`, the reason as its cause, if the keys could not be had.
   */
  find(serverName: string, keyId: string): Promise<ServerKey | undefined>;
}

/** What `makeServerKeys` needs. */
export interface ServerKeysParts {
  federationFetch: FederationFetch;
  clock: Clock;
  store?: KeyStore;
  /** Servers that are asked where a server can't be asked itself; default none. */
  notaries?: readonly string[];
}

const MAX_SERVERS = 5_000;
const MAX_FAILURES = 10_000;
/** A server is asked about a key id that it did not list at most this often. */
const UNKNOWN_KEY_MS = 60_000;
/** After a failure a server is asked again after this time, twice as long each time. */
const FIRST_RETRY_MS = 10_000;
const MAX_RETRY_MS = 600_000;
/** Anybody can name servers to us: so many are asked at once, so many wait, the rest is turned away. */
const AT_ONCE = 32;
const WAITING = 256;

/** Makes the {@link ServerKeys} with their bounded memory. */
export function makeServerKeys(parts: ServerKeysParts): ServerKeys {
  const { clock, store } = parts;
  const known = new LRUCache<string, KeySet>({ max: MAX_SERVERS });
  const failed = new LRUCache<string, { retryAtMs: number; failures: number }>({ max: MAX_FAILURES });
  const fetching = new SingleFlight<KeySet>();
  const full = () => unavailable(new Error("Too many servers are being asked for their keys"), 1000);
  const queue = new WorkQueue({ atOnce: AT_ONCE, waiting: WAITING, full });
  const direct = { federationFetch: parts.federationFetch, clock };
  const fetchOfNotary = makeFetchKeys({
    ...direct,
    notaries: [],
    notaryKeys: () => Promise.reject(new Error("unused")),
  });
  const fetchKeys = makeFetchKeys({ ...direct, notaries: parts.notaries ?? [], notaryKeys: keysOfNotary });

  return {
    async find(serverName, keyId) {
      const remembered = await recall(serverName, keyId);
      if (remembered && Object.hasOwn(remembered.keys, keyId)) {
        if (clock() >= refreshAtMs(remembered)) refresh(serverName).catch(() => {});
        return pick(remembered, keyId);
      }
      if (remembered && clock() < remembered.fetchedAtMs + UNKNOWN_KEY_MS) return undefined;
      return pick(await refresh(serverName).catch(rethrow), keyId);
    },
  };

  /** The valid keys that we remember, or that the store does if it may know this key id better. */
  async function recall(serverName: string, keyId: string): Promise<KeySet | undefined> {
    const own = stillValid(known.get(serverName));
    if (own && (Object.hasOwn(own.keys, keyId) || clock() < own.fetchedAtMs + UNKNOWN_KEY_MS)) return own;
    const stored = stillValid(await store?.read(serverName).catch(() => undefined));
    if (!stored || (own && own.fetchedAtMs >= stored.fetchedAtMs)) return own;
    known.set(serverName, stored);
    return stored;
  }

  function stillValid(keySet: KeySet | undefined): KeySet | undefined {
    return keySet && clock() < keySet.validUntilMs ? keySet : undefined;
  }

  async function refresh(serverName: string): Promise<KeySet> {
    const failure = failed.get(serverName);
    const waitMs = (failure?.retryAtMs ?? 0) - clock();
    if (waitMs > 0) throw unavailable(new Error("Asked for its keys in vain a moment ago"), waitMs);
    return await fetching.run(serverName, () => queue.run(() => fetchAndKeep(serverName, failure?.failures ?? 0)));
  }

  async function fetchAndKeep(serverName: string, failures: number): Promise<KeySet> {
    try {
      const keySet = await fetchKeys(serverName);
      failed.delete(serverName);
      known.set(serverName, keySet);
      await store?.write(keySet).catch(() => {});
      return keySet;
    } catch (error) {
      const waitMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), MAX_RETRY_MS);
      failed.set(serverName, { retryAtMs: clock() + waitMs, failures: failures + 1 });
      throw unavailable(error, waitMs);
    }
  }

  async function keysOfNotary(notary: string): Promise<KeySet> {
    const own = stillValid(known.get(notary));
    if (own) return own;
    const keySet = await fetchOfNotary(notary);
    known.set(notary, keySet);
    return keySet;
  }
}

/** Halfway to their end keys are fetched again, while they can still be used. */
function refreshAtMs({ fetchedAtMs, validUntilMs }: KeySet): number {
  return (fetchedAtMs + validUntilMs) / 2;
}

function pick({ serverName, keys, validUntilMs }: KeySet, keyId: string): ServerKey | undefined {
  const publicKey = Object.hasOwn(keys, keyId) ? keys[keyId] : undefined;
  return publicKey === undefined ? undefined : { serverName, keyId, publicKey, validUntilMs };
}

function rethrow(error: unknown): never {
  throw error instanceof MatrixError ? error : unavailable(error, FIRST_RETRY_MS);
}

function unavailable(cause: unknown, retryAfterMs: number): MatrixError {
  return new MatrixError("M_UNKNOWN", "Cannot get the signing keys of the requesting server", {
    status: 502,
    cause,
    retryAfterMs,
  });
}
