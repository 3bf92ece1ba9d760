import { LRUCache } from "lru-cache";
import { Failure } from "../../../shared/matrix/failure.ts";
import type { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { unauthorized } from "../../../shared/matrix/x_matrix.ts";
import { FetchError } from "../../net/fetch_error.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Ticket } from "../../platform/fair_queue.ts";
import type { Federation } from "../federation/federation.ts";
import { type KeptKeys, type KeySet, KeysRefusedError, readKeptKeys, readKeyAnswer } from "./key_answer.ts";
import { KeyFetcher, type KeyTimeouts } from "./key_fetcher.ts";
import { KeyQueues, keysBusy } from "./key_queues.ts";

/** Where key sets outlive the process and are shared by several. Only a hint: it may forget and it may fail. */
export interface KeyHints {
  get(key: string): Promise<Uint8Array | undefined>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
}

/** A key that signs requests now. Times in milliseconds since the epoch. */
export interface ServerKey {
  readonly serverName: string;
  readonly keyId: string;
  /** In base64. */
  readonly publicKey: string;
  /** From then on it proves nothing. */
  readonly validUntilMs: number;
  /** Until then it is believed without asking its server again. */
  readonly freshUntilMs: number;
  /** Drawn before its server was asked: of two answers about a key the one with the larger generation is true. */
  readonly generation: number;
}

/** Keys that a server has had and does not list any more, or not with the same value. */
export interface WithdrawnKeys {
  readonly serverName: string;
  readonly keyIds: readonly string[];
}

/** What keys are found with, and remembered in. */
export interface ServerKeysParts {
  readonly federation: Pick<Federation, "get">;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  /** Larger than all generations that were drawn before, by any process. */
  readonly drawGeneration: () => Promise<number>;
  /** Told of keys that a server has withdrawn before anybody relies on what came in their place. */
  readonly onWithdrawn?: ((withdrawn: WithdrawnKeys) => Promise<void>) | undefined;
  readonly hints?: KeyHints;
  /** Servers that are asked where a server can't be asked itself; default none. */
  readonly notaries?: readonly string[];
  /** How long anybody waits until a server is asked, in milliseconds; default 5 s. */
  readonly waitMs?: number;
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

const HINT_MS = 7 * 24 * 3_600_000;
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
/** Anyone can name servers to us that never answer: one that we never had keys of is not waited for as long. */
const UNKNOWN_SERVER: KeyTimeouts = { requestMs: 5_000, wholeMs: 15_000 };
const KNOWN_SERVER: KeyTimeouts = { requestMs: 15_000, wholeMs: 30_000 };

/** The signing keys of other servers, with their bounded memory. */
export class ServerKeys {
  readonly #parts: ServerKeysParts;
  /** Also those that have expired: their servers are known, and waited for longer. */
  readonly #known = new LRUCache<string, Known>({ max: MAX_SERVERS });
  readonly #failed = new LRUCache<string, FailedFetch>({ max: MAX_FAILURES });
  readonly #fetching = new Map<string, { readonly ticket: Ticket; readonly keys: Promise<Known> }>();
  readonly #queues: KeyQueues;
  readonly #fetcher: KeyFetcher;

  constructor(parts: ServerKeysParts) {
    const { federation, clock, notaries = [] } = parts;
    this.#parts = parts;
    this.#queues = new KeyQueues(parts.waitMs ?? WAIT_MS);
    const notaryKeys = (notary: string, timeouts: KeyTimeouts) => this.#keysOfNotary(notary, timeouts);
    this.#fetcher = new KeyFetcher({ federation, clock, notaries, notaryKeys });
  }

  /**
   * The key by which that server may sign requests at this moment; `undefined` if it has no such key (the request gets 401).
   * `asker`: on whose account its server is asked, where it must be; nobody gets more than a part of what can be asked at once.
   * Throws `peer_failed`, the reason as its cause, if the keys could not be had, and 401 `M_UNAUTHORIZED` if they could, but prove
   * nothing; `busy` if there was no time to ask for them.
   */
  async find(serverName: string, keyId: string, asker: string): Promise<ServerKey | undefined> {
    const remembered = await this.#recall(serverName, keyId);
    if (remembered && Object.hasOwn(remembered.keys, keyId)) {
      if (this.#ageOf(remembered) >= freshForMs(remembered)) this.#refresh(serverName, asker).catch(() => {});
      return this.#pick(remembered, keyId);
    }
    if (remembered && this.#ageOf(remembered) < UNKNOWN_KEY_MS) return undefined;
    return this.#pick(await this.#refresh(serverName, asker), keyId);
  }

  /**
   * Checks an answer to `GET /_matrix/key/v2/server` that somebody else has fetched, and remembers nothing of it. Throws an Error that
   * says why it proves nothing.
   */
  check(answer: unknown, serverName: string): Promise<KeySet> {
    return readKeyAnswer(answer, serverName, this.#parts.clock());
  }

  /** The valid keys that we remember, or that the hints do if they may know better. */
  async #recall(serverName: string, keyId: string): Promise<Known | undefined> {
    const own = this.#known.get(serverName);
    if (own && this.#suffices(own, keyId)) return own;
    const hint = await this.#readHint(serverName).catch(() => undefined);
    if (hint && (!own || own.generation < hint.generation)) this.#remember(hint);
    const best = this.#known.get(serverName);
    return best && this.#parts.clock() < best.validUntilMs ? best : undefined;
  }

  /** They were fetched as long ago as the time of day says, and from now on they age by the steady clock. */
  #remember(keys: KeptKeys): Known {
    const { clock, steady } = this.#parts;
    const remembered = { ...keys, fetchedSteadyMs: steady() - Math.max(0, clock() - keys.fetchedAtMs) };
    this.#known.set(keys.serverName, remembered);
    return remembered;
  }

  #ageOf({ fetchedSteadyMs }: Known): number {
    return this.#parts.steady() - fetchedSteadyMs;
  }

  /** Whether nobody else need be asked about a key. */
  #suffices(keys: Known, keyId: string): boolean {
    const forMs = Object.hasOwn(keys.keys, keyId) ? freshForMs(keys) : UNKNOWN_KEY_MS;
    return this.#ageOf(keys) < forMs && this.#parts.clock() < keys.validUntilMs;
  }

  #pick(keys: Known, keyId: string): ServerKey | undefined {
    const { serverName, validUntilMs, generation } = keys;
    const publicKey = Object.hasOwn(keys.keys, keyId) ? keys.keys[keyId] : undefined;
    if (publicKey === undefined) return undefined;
    const freshUntilMs = Math.min(validUntilMs, this.#parts.clock() + freshForMs(keys) - this.#ageOf(keys));
    return { serverName, keyId, publicKey, validUntilMs, freshUntilMs, generation };
  }

  /** Asks the server, once for all who want to know. */
  async #refresh(serverName: string, asker: string): Promise<Known> {
    const running = this.#fetching.get(serverName);
    running?.ticket.support(this.#queues.claimOf(asker));
    if (running) return await running.keys;
    const failure = this.#failed.get(serverName);
    const waitMs = (failure?.retryAtMs ?? 0) - this.#parts.steady();
    if (failure && waitMs > 0) throw errorOf(failure, waitMs);
    const ticket = this.#queues.ticket(asker, this.#known.has(serverName));
    const keys = ticket
      .run(() => this.#fetchAndKeep(serverName, failure?.failures ?? 0))
      .finally(() => this.#fetching.delete(serverName));
    this.#fetching.set(serverName, { ticket, keys });
    return await keys;
  }

  async #fetchAndKeep(serverName: string, failures: number): Promise<Known> {
    const before = this.#known.get(serverName);
    const generation = await this.#parts.drawGeneration();
    const timeouts = before ? KNOWN_SERVER : UNKNOWN_SERVER;
    const fetched = await this.#fetcher.fetch(serverName, timeouts).catch((error) => {
      throw this.#failureOf(serverName, failures, error);
    });
    this.#failed.delete(serverName);
    const keys = { ...fetched, generation };
    const keyIds = withdrawn(before, keys);
    if (keyIds.length > 0) await this.#parts.onWithdrawn?.({ serverName, keyIds });
    const remembered = this.#remember(keys);
    await this.#parts.hints?.set(hintKeyOf(serverName), JSON.stringify(keys), HINT_MS).catch(() => {});
    return remembered;
  }

  /** Remembers that keys could not be had; returns the error for those who wait for them. */
  #failureOf(serverName: string, failures: number, error: unknown): Error {
    if (error instanceof FetchError && error.failure === "busy") return keysBusy();
    const isRefused = error instanceof KeysRefusedError;
    // A server that answers costs little to ask, and is told at once that it is not believed: it can mend that at any moment.
    const waitMs = isRefused ? FIRST_RETRY_MS : Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), MAX_RETRY_MS);
    const retryAtMs = this.#parts.steady() + waitMs;
    const failure = { retryAtMs, failures: isRefused ? 0 : failures + 1, isRefused, error };
    this.#failed.set(serverName, failure);
    return errorOf(failure, waitMs);
  }

  async #keysOfNotary(notary: string, timeouts: KeyTimeouts): Promise<KeptKeys> {
    const own = this.#known.get(notary);
    if (own && this.#parts.clock() < own.validUntilMs) return own;
    const generation = await this.#parts.drawGeneration();
    const keys = { ...(await this.#fetcher.fetchDirect(notary, timeouts)), generation };
    this.#remember(keys);
    return keys;
  }

  /** Keys that another process has fetched and checked. */
  async #readHint(serverName: string): Promise<KeptKeys | undefined> {
    const bytes = await this.#parts.hints?.get(hintKeyOf(serverName));
    return bytes && readKeptKeys(Buffer.from(bytes).toString(), serverName, this.#parts.clock());
  }
}

function hintKeyOf(serverName: string): string {
  return `server_keys:${serverName}`;
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
