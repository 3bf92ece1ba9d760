import { Failure } from "../../../shared/matrix/failure.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { PeerMedia } from "../../matrix/media/peer_media.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import { tellTrouble, troubleOf } from "../../stores/trouble.ts";
import type { GrowingFile } from "../growing_file.ts";
import { type PullFailure, type PullFailures, toFailure } from "./pull_failures.ts";
import { concerns, type PullOrder } from "./pull_order.ts";
import type { ReceivePulled } from "./pull_receive.ts";
import type { PullSlot, PullSlots } from "./pull_slots.ts";
import type { StorePulled } from "./pull_store.ts";
import type { PullNews, PullTurn, PullTurns } from "./pull_turns.ts";

/** What {@link makePullOnce} needs. Times in milliseconds. */
export interface PullOnceParts {
  /** The media, where it is recorded and its datastore is one of the configuration. */
  readonly findHere: (mxc: Mxc) => Promise<Media | undefined>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "mediaFetched">;
  readonly fetchMedia: PeerMedia["fetch"];
  readonly turns: PullTurns;
  readonly slots: PullSlots;
  readonly failures: PullFailures;
  readonly receive: ReceivePulled;
  readonly store: StorePulled;
  /** How long somebody else's fetch is waited for. */
  readonly patienceMs: number;
  /** Ends everything that is under way. */
  readonly closing: AbortSignal;
}

/** A media that has begun to come: what it is, and its bytes as they arrive. */
export interface PullHead {
  readonly contentType: string;
  readonly fileName: string | undefined;
  readonly announcedBytes: number | undefined;
  readonly file: GrowingFile;
}

/** One fetch that is under way in this process. Both promises may be left alone: what they reject with was dealt with. */
export interface Pull {
  readonly order: PullOrder;
  /** Somebody else wants the same media, and need not wait for the turn of who wanted it first. */
  readonly support: PullSlot["support"];
  /** Its head, or the whole media where there was nothing to fetch. */
  readonly head: Promise<PullHead | Media>;
  /** The media, once it is stored and recorded. */
  readonly stored: Promise<Media>;
}

type OnHead = (head: PullHead) => void;

/** Begins to fetch a media of another server: see {@link makePullOnce}. */
export type PullOnce = (mxc: Mxc, order: PullOrder) => Pull;

const IDLE_MS = 30_000;
/** In place of `downloads.maxBytes: 0`. */
const NO_LIMIT_BYTES = 2 ** 50;

/**
 * One fetch from its beginning to its end: wait for the turn among all processes (another may have it, and then there is nothing
 * left to do), for a place among the workers, ask the other server, take the bytes in, store them, record the media, tell the
 * others. It goes on whoever leaves; nothing is recorded of a body that is not whole.
 *
 * Errors: those of `PeerMedia.fetch`; 429 where the budget of bytes is used up; 503 where too much is being fetched.
 */
export function makePullOnce(parts: PullOnceParts): PullOnce {
  const { failures, turns } = parts;

  return (mxc, order) => {
    const head = Promise.withResolvers<PullHead | Media>();
    const slot = parts.slots(mxc.serverName, order.who);
    const stored = pull(mxc, order, slot, head.resolve);
    stored.then(head.resolve, head.reject);
    head.promise.catch(() => undefined);
    return { order, support: slot.support, head: head.promise, stored };
  };

  async function pull(mxc: Mxc, order: PullOrder, slot: PullSlot, onHead: OnHead): Promise<Media> {
    const news = turns.listen(mxc);
    try {
      const turn = await myTurn(mxc, order, news);
      if (!("end" in turn)) return turn;
      return await pullInTurn(mxc, order, turn, () => slot.run(() => fetchAndStore(mxc, order, onHead)));
    } finally {
      news.stop();
    }
  }

  /** The turn; or the media, where another process has fetched it. */
  async function myTurn(mxc: Mxc, order: PullOrder, news: PullNews): Promise<PullTurn | Media> {
    const patience = AbortSignal.any([AbortSignal.timeout(parts.patienceMs), parts.closing]);
    for (;;) {
      const turn = await turns.take(mxc);
      // Only now: another process may have been about to record it before.
      const present = await parts.findHere(mxc);
      if (present) await turn?.end(undefined);
      const settled = present ?? turn;
      if (settled) return settled;
      const failure = await news.next(patience).catch(() => {
        throw new Failure("peer_slow", "The remote server did not answer in time");
      });
      if (failure && concerns(failure, order)) throw toFailure(failure);
    }
  }

  async function pullInTurn(mxc: Mxc, order: PullOrder, turn: PullTurn, fetch: () => Promise<Media>): Promise<Media> {
    let failure: PullFailure | undefined;
    try {
      const media = await fetch();
      parts.metrics.mediaFetched("stored");
      return media;
    } catch (thrown) {
      const error = asFailure(thrown);
      failure = noted(mxc, order, error);
      throw error;
    } finally {
      await turn.end(failure).catch((error) => parts.log.warn({ error }, "cannot give back the turn to fetch a media"));
    }
  }

  function noted(mxc: Mxc, { asking }: PullOrder, error: Error): PullFailure {
    const uri = formatMxc(mxc);
    const failure = failures.describe(asking.serverName, error);
    failures.note(uri, failure);
    parts.metrics.mediaFetched(failure.kind === "absent" ? "absent" : "failed");
    parts.log.info({ mxc: uri, asking: asking.serverName, kind: failure.kind, error }, "remote media not fetched");
    return failure;
  }

  async function fetchAndStore(mxc: Mxc, order: PullOrder, onHead: OnHead): Promise<Media> {
    const { asking, waitMs, evenIfIgnored } = order;
    const timeoutMs = asking.federation.timeoutMs + waitMs;
    const remote = await parts.fetchMedia(mxc, {
      as: asking.federation.signAs,
      maxBytes: asking.downloads.maxBytes || NO_LIMIT_BYTES,
      timeoutMs,
      idleTimeoutMs: Math.min(IDLE_MS, timeoutMs),
      waitMs,
      evenIfIgnored,
      signal: parts.closing,
    });
    const datastore = await asking.datastoreFor("remote_media").catch(async (error) => {
      await remote.body.cancel();
      throw error;
    });
    const { contentType, fileName, size: announcedBytes } = remote;
    const received = await parts.receive(remote, order, datastore.stagingFolder, (file) =>
      onHead({ contentType, fileName, announcedBytes, file }),
    );
    try {
      return await parts.store(mxc, { order, received, remote, datastore });
    } finally {
      await received.dispose();
    }
  }
}

/** What is thrown as it is where it is a failure already, or the refusal of a limit; of a trouble or a mistake of ours the failure that it is. */
function asFailure(thrown: unknown): Error {
  if (thrown instanceof Failure || thrown instanceof MatrixError) return thrown;
  const trouble = troubleOf(thrown);
  return trouble ? tellTrouble(trouble, thrown) : new Failure("ours", "Internal server error", { cause: thrown });
}
