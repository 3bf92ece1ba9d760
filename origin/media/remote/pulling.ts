import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Limits } from "../../access/limits/limits.ts";
import type { Config } from "../../config/schema.ts";
import type { Federation } from "../../matrix/federation/federation.ts";
import { PeerMedia } from "../../matrix/media/peer_media.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Bus } from "../../stores/db/bus.ts";
import type { Database } from "../../stores/db/database.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { StoreOnce } from "../upload/store_once.ts";
import { makePullFailures } from "./pull_failures.ts";
import { makePullOnce } from "./pull_once.ts";
import { makeReceivePulled } from "./pull_receive.ts";
import { makePullRemote, type PullRemote } from "./pull_remote.ts";
import { makePullSlots } from "./pull_slots.ts";
import { makeStorePulled } from "./pull_store.ts";
import { makePullTurns, PULLED } from "./pull_turns.ts";

/** What media of other servers are fetched with. */
export interface PullingWorld {
  readonly config: Config;
  readonly db: Database;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly safeFetch: SafeFetch;
  readonly federation: Federation;
  readonly makeTemporaryId: MakeId;
}

/** What of the rest of the room they are counted by and stored with. */
export interface PullingParts {
  readonly limits: Limits;
  readonly storeOnce: StoreOnce;
  readonly findHere: (mxc: Mxc) => Promise<Media | undefined>;
  /** How often a fetch by another process is looked for, in milliseconds, beside being notified of its end. */
  readonly recheckMs?: number | undefined;
}

/** Fetching the media of other servers. */
export interface Pulling {
  readonly pullRemote: PullRemote;
  /** Ends what is under way, and resolves when it has ended. */
  close(): Promise<void>;
}

const WAITING_PULLS = 1_000;
const SLOT_WAIT_MS = 30_000;
const PATIENCE_MS = 5 * 60_000;
const STORE_MS = 10 * 60_000;
const LEASE_MS = 20_000;
const RECHECK_MS = 2_000;

/** Opens it, with the news that the processes tell each other of it. */
export async function openPulling(world: PullingWorld, parts: PullingParts): Promise<Pulling> {
  const { config, db, bus, clock, steady, log, metrics, safeFetch, federation, makeTemporaryId } = world;
  const { limits, storeOnce } = parts;
  const { downloads } = config;
  const { ignoredHosts } = config.federation;
  const peerMedia = new PeerMedia({ federation, safeFetch, clock: steady, ignoredHosts });
  const closing = new AbortController();
  const failures = makePullFailures({ clock: steady, keepMs: downloads.failureCacheMinutes * 60_000 });
  const turns = makePullTurns({
    ...{ db, bus, clock, log },
    holder: makeTemporaryId(),
    leaseMs: LEASE_MS,
    recheckMs: parts.recheckMs ?? RECHECK_MS,
  });
  const pullOnce = makePullOnce({
    ...{ clock, log, metrics, turns, failures, findHere: parts.findHere },
    fetchMedia: (mxc, options) => peerMedia.fetch(mxc, options),
    slots: makePullSlots({ workers: downloads.numWorkers, waiting: WAITING_PULLS, waitMs: SLOT_WAIT_MS }),
    receive: makeReceivePulled({ limits, makeTemporaryId }),
    store: makeStorePulled({ clock, storeOnce, deadlineMs: STORE_MS }),
    patienceMs: PATIENCE_MS,
    closing: closing.signal,
  });
  const pullRemote = makePullRemote({ clock: steady, pullOnce, failures });
  const unlisten = await bus.listen(PULLED, {
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
