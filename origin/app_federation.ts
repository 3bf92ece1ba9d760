import type { Limits } from "./access/limits/limits.ts";
import type { Base } from "./app_base.ts";
import type { Federation } from "./matrix/federation/federation.ts";
import { PeerMedia } from "./matrix/media/peer_media.ts";
import { makePullFailures } from "./media/remote/pull_failures.ts";
import { makePullOnce } from "./media/remote/pull_once.ts";
import { makeReceivePulled } from "./media/remote/pull_receive.ts";
import { makePullRemote, type PullRemote } from "./media/remote/pull_remote.ts";
import { makePullSlots } from "./media/remote/pull_slots.ts";
import { makeStorePulled } from "./media/remote/pull_store.ts";
import { makePullTurns, PULLED } from "./media/remote/pull_turns.ts";
import type { StoreOnce } from "./media/upload/store_once.ts";

/** The part of `app.ts` that fetches media of other servers. */

/** What fetching their media needs beside the base. */
export interface PullingParts {
  readonly limits: Limits;
  readonly storeOnce: StoreOnce;
  readonly federation: Federation;
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

/** Makes what fetches media, with the news that the processes tell each other of it. */
export async function makePulling(base: Base, parts: PullingParts): Promise<Pulling> {
  const { db, clock, steady, log, metrics, safeFetch, makeTemporaryId } = base;
  const { limits, storeOnce, federation } = parts;
  const { downloads } = base.config;
  const { ignoredHosts } = base.config.federation;
  const peerMedia = new PeerMedia({ federation, safeFetch, clock: steady, ignoredHosts });
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
    fetchMedia: (mxc, options) => peerMedia.fetch(mxc, options),
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
