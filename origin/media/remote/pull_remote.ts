import { isFailure } from "../../../shared/matrix/failure.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { raceAbort, sleep } from "../../platform/time.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { Patience } from "../download/await_pending.ts";
import { kindOf, type PullFailures } from "./pull_failures.ts";
import type { Pull, PullHead, PullOnce } from "./pull_once.ts";
import { concerns, type PullOrder } from "./pull_order.ts";

/** What {@link makePullRemote} needs. */
export interface PullRemoteParts {
  readonly clock: SteadyClock;
  readonly pullOnce: PullOnce;
  readonly failures: PullFailures;
}

/** Who wants a media of another server, and how long they are willing to wait until it is uploaded there. */
export type PullRequest = Omit<PullOrder, "waitMs"> & Patience;

/** A media on its way to us. */
export interface Arrival {
  readonly contentType: string;
  readonly fileName: string | undefined;
  readonly announcedBytes: number | undefined;
  /** It is this request that it is fetched for, and on whose account; others have joined. */
  readonly mine: boolean;
  /** The media, once it is stored and recorded; rejects when its body turned out wrong. May be left alone. */
  readonly stored: Promise<Media>;
  /** Its bytes from the first on, as they come; fails where they turn out wrong. `undefined`: too late, it is stored by now. */
  follow(signal: AbortSignal): ReadableStream<Uint8Array> | undefined;
}

/** Gets media of other servers: see {@link makePullRemote}. */
export interface PullRemote {
  /** The media, once it is stored and recorded. */
  whole(mxc: Mxc, request: PullRequest): Promise<Media>;
  /** The media as soon as its first bytes are here. */
  begin(mxc: Mxc, request: PullRequest): Promise<Media | Arrival>;
  /** Resolves when nothing is under way any more. */
  idle(): Promise<void>;
}

/** A server that says at once "not uploaded yet" is asked again no sooner. */
const ASK_AGAIN_MS = 1_000;

/**
 * Gets media of other servers. All who want the same at the same time share one fetch, in this process by joining it and among
 * processes by turns; each may leave at any time, and the fetch goes on. What failed a moment ago is not tried again at once.
 *
 * Errors: 404 `M_NOT_FOUND`, where the other server does not have it; 504 `M_NOT_YET_UPLOADED`; 502 `M_TOO_LARGE`; 502, 503 and
 * 504 `M_UNKNOWN` where it cannot be had at the moment; 429 where the budget of bytes is used up.
 */
export function makePullRemote({ clock, pullOnce, failures }: PullRemoteParts): PullRemote {
  const pulls = new Map<string, Pull>();

  return {
    whole: (mxc, request) => patiently(mxc, request, async ({ pull }) => await pull.stored),
    begin: (mxc, request) =>
      patiently(mxc, request, async ({ pull, mine }) => {
        const head = await pull.head;
        return "file" in head ? arrivalOf(head, pull, mine) : head;
      }),
    async idle() {
      while (pulls.size > 0) await Promise.allSettled([...pulls.values()].map((pull) => pull.stored));
    },
  };

  /** Tries until the time is over while the media is not uploaded yet, and again where a failure was not ours. */
  async function patiently<T>(
    mxc: Mxc,
    request: PullRequest,
    outcome: (joined: { pull: Pull; mine: boolean }) => Promise<T>,
  ): Promise<T> {
    const untilMs = clock() + request.waitMs;
    for (;;) {
      const joined = join(mxc, { ...request, waitMs: Math.max(0, untilMs - clock()) });
      try {
        return await raceAbort(outcome(joined), request.signal);
      } catch (error) {
        request.signal.throwIfAborted();
        if (!(error instanceof Error)) throw error;
        const { asking } = joined.pull.order;
        const ours = joined.mine || concerns({ asking: asking.serverName, kind: kindOf(error) }, request);
        if (!ours) continue;
        if (!isFailure(error, "not_yet") || clock() + ASK_AGAIN_MS >= untilMs) throw error;
        await sleep(ASK_AGAIN_MS, request.signal);
      }
    }
  }

  /** Errors: what failed a moment ago. */
  function join(mxc: Mxc, order: PullOrder): { pull: Pull; mine: boolean } {
    const key = formatMxc(mxc);
    const running = pulls.get(key);
    running?.support(order.who);
    if (running) return { pull: running, mine: false };
    const failed = failures.find(order.asking.serverName, mxc);
    if (failed) throw failed;
    const pull = pullOnce(mxc, order);
    pulls.set(key, pull);
    const over = () => void pulls.delete(key);
    pull.stored.then(over, over);
    return { pull, mine: true };
  }
}

function arrivalOf({ file, ...head }: PullHead, { stored }: Pull, mine: boolean): Arrival {
  return { ...head, mine, stored, follow: (signal) => file.follow(signal) };
}
