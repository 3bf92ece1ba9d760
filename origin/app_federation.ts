import type { Limits } from "./access/limits/limits.ts";
import type { Base } from "./app_base.ts";
import type { Edge } from "./app_edge.ts";
import type { Config } from "./config/schema.ts";
import {
  type FederationFetch,
  makeFederationFetch,
  type SigningIdentity,
} from "./matrix/federation/federation_request.ts";
import { HostCircuits } from "./matrix/federation/host_circuits.ts";
import { makeResolveServer, type ResolveServer } from "./matrix/federation/resolve.ts";
import { readKeptKeys } from "./matrix/keys/key_answer.ts";
import { type KeyStore, makeServerKeys, type ServerKeys } from "./matrix/keys/server_keys.ts";
import { makeFetchMedia } from "./matrix/media/fetch_media.ts";
import { loadSigningIdentity } from "./matrix/signing_identity.ts";
import { makePullFailures } from "./media/remote/pull_failures.ts";
import { makePullOnce } from "./media/remote/pull_once.ts";
import { makeReceivePulled } from "./media/remote/pull_receive.ts";
import { makePullRemote, type PullRemote } from "./media/remote/pull_remote.ts";
import { makePullSlots } from "./media/remote/pull_slots.ts";
import { makeStorePulled } from "./media/remote/pull_store.ts";
import { makePullTurns, PULLED } from "./media/remote/pull_turns.ts";
import type { StoreOnce } from "./media/upload/store_once.ts";
import type { Clock } from "./platform/clock.ts";
import type { HintCache } from "./stores/cache/hint_cache.ts";
import { nextGeneration } from "./stores/db/tables/generations.ts";

/** The part of `app.ts` that speaks with other servers. */

/** How other servers are found and asked, and by which keys they sign. */
export interface Federation {
  readonly resolve: ResolveServer;
  readonly federationFetch: FederationFetch;
  /** Asks also servers that failed too often, and its own failures count for nothing: to find out what is wrong with them. */
  readonly uncountedFetch: FederationFetch;
  readonly serverKeys: ServerKeys;
}

/** What fetching their media needs beside the base. */
export interface PullingParts {
  readonly limits: Limits;
  readonly storeOnce: StoreOnce;
  readonly federationFetch: FederationFetch;
}

/** Fetching the media of other servers. */
export interface Pulling {
  readonly pullRemote: PullRemote;
  /** Ends what is under way, and resolves when it has ended. */
  close(): Promise<void>;
}

const KEYS_HINT_MS = 7 * 24 * 60 * 60_000;
const WAITING_PULLS = 1_000;
const SLOT_WAIT_MS = 30_000;
const PATIENCE_MS = 5 * 60_000;
const STORE_MS = 10 * 60_000;
const LEASE_MS = 20_000;
const RECHECK_MS = 2_000;

/**
 * The identities of all homeservers that have a signing key. Throws an Error that names the homeserver and the file of a key that
 * cannot be used.
 */
export async function loadIdentities(config: Config): Promise<Map<string, SigningIdentity>> {
  const identities = new Map<string, SigningIdentity>();
  for (const { name, signingKeyPath } of config.domains.values()) {
    if (signingKeyPath === "") continue;
    const identity = await loadSigningIdentity(signingKeyPath, name).catch((cause: Error) => {
      throw new Error(`Cannot use the signing key of ${name}, ${signingKeyPath}: ${cause.message}`, { cause });
    });
    identities.set(name, identity);
  }
  return identities;
}

/** Makes what other servers are asked with. */
export function makeFederation(
  { config, clock, steady, db, safeFetch, dns, cache }: Base,
  edge: Edge | undefined,
): Federation {
  const { federation } = config;
  const resolve = makeResolveServer({ safeFetch, srv: dns.srv, clock: steady, random: Math.random });
  const circuits = new HostCircuits({ failures: federation.backoffAt, clock: steady });
  const uncountedFetch = makeFederationFetch({ safeFetch, resolve, clock: steady });
  const federationFetch = makeFederationFetch({ safeFetch, resolve, clock: steady, circuits });
  const serverKeys = makeServerKeys({
    ...{ federationFetch, clock, steady },
    drawGeneration: () => nextGeneration(db),
    onWithdrawn: edge?.withdrawKeys,
    store: keyStore(cache.hints, clock),
    notaries: federation.notaries,
  });
  return { resolve, federationFetch, uncountedFetch, serverKeys };
}

/** Makes what fetches media, with the news that the processes tell each other of it. */
export async function makePulling(base: Base, parts: PullingParts): Promise<Pulling> {
  const { db, clock, steady, log, metrics, safeFetch, makeTemporaryId } = base;
  const { limits, storeOnce, federationFetch } = parts;
  const { federation, downloads } = base.config;
  const closing = new AbortController();
  const failures = makePullFailures({ clock: steady, keepMs: downloads.failureCacheMinutes * 60_000 });
  const turns = makePullTurns({
    ...{ db, bus: base.bus, clock, log },
    holder: makeTemporaryId(),
    leaseMs: LEASE_MS,
    recheckMs: base.overrides.recheckMs ?? RECHECK_MS,
  });
  const pullOnce = makePullOnce({
    ...{ db, clock, log, metrics, turns, failures },
    fetchMedia: makeFetchMedia({ federationFetch, safeFetch, clock: steady, ignoredHosts: federation.ignoredHosts }),
    slots: makePullSlots({ workers: downloads.numWorkers, waiting: WAITING_PULLS, waitMs: SLOT_WAIT_MS }),
    receive: makeReceivePulled({ limits, makeTemporaryId }),
    store: makeStorePulled({ clock, storeOnce, deadlineMs: STORE_MS }),
    patienceMs: PATIENCE_MS,
    closing: closing.signal,
  });
  const pullRemote = makePullRemote({ clock: steady, pullOnce, failures });
  const unlisten = await base.bus.listen(PULLED, {
    onNews(news) {
      turns.heard(news);
      if (news.failure) failures.note(news.uri, news.failure);
    },
    onReconnect: () => turns.lookAgain(),
  });
  return {
    pullRemote,
    async close() {
      closing.abort(new Error("the service is being stopped"));
      await pullRemote.idle();
      await unlisten();
    },
  };
}

/** Keys that one process has fetched and checked, for the others. */
function keyStore(hints: HintCache, clock: Clock): KeyStore {
  const keyOf = (serverName: string) => `server_keys:${serverName}`;
  return {
    async read(serverName) {
      const bytes = await hints.get(keyOf(serverName));
      return bytes && readKeptKeys(Buffer.from(bytes).toString(), serverName, clock());
    },
    write: (keys) => hints.set(keyOf(keys.serverName), JSON.stringify(keys), KEYS_HINT_MS),
  };
}
