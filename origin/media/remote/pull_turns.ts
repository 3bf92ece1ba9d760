import * as z from "zod";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { sleep } from "../../platform/time.ts";
import { type Bus, jsonChannel } from "../../stores/db/bus.ts";
import type { Database } from "../../stores/db/database.ts";
import { acquireLease, releaseLease, renewLease } from "../../stores/db/tables/leases.ts";
import { PULL_FAILURE, type PullFailure } from "./pull_failures.ts";

/** What {@link makePullTurns} needs. Times in milliseconds. */
export interface PullTurnParts {
  readonly db: Database;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** Names this process among all. */
  readonly holder: string;
  /** How long a turn is believed of a holder that says nothing any more. */
  readonly leaseMs: number;
  /** How often one who waits looks for himself, should the news be lost. */
  readonly recheckMs: number;
}

/** The turn to fetch one media, held by this process. */
export interface PullTurn {
  /** Gives it back and tells all who wait, in every process, what came of it. */
  end(failure: PullFailure | undefined): Promise<void>;
}

/** Whose turn it is to fetch a media, among all processes: see {@link makePullTurns}. */
export interface PullTurns {
  /** Takes the turn; `undefined`: another process has it. */
  take(mxc: Mxc): Promise<PullTurn | undefined>;
  /** Listens for the end of a fetch by another process. Call it before `take`, so that no news is missed, and `stop` at the end. */
  listen(mxc: Mxc): PullNews;
  /** News of a fetch that has ended somewhere. */
  heard(news: EndedFetch): void;
  /** News may have been lost: all who wait look again. */
  lookAgain(): void;
}

/** News of one media. */
export interface PullNews {
  /** Why another process failed to fetch it; `undefined`: something may have changed, look again. Throws what `signal` aborts with. */
  next(signal: AbortSignal): Promise<PullFailure | undefined>;
  stop(): void;
}

/** A fetch that has ended, well or with a failure. */
export interface EndedFetch {
  readonly uri: string;
  readonly failure?: PullFailure | undefined;
}

/** On which the processes tell each other that a fetch is over. */
export const PULLED = jsonChannel<EndedFetch>(
  "mxcdn_pulled",
  z.object({ uri: z.string(), failure: PULL_FAILURE.optional() }),
);

/**
 * Lets one process of several fetch a media, by a row that its holder renews while it works: nobody holds a connection of the
 * database meanwhile, and the turn of a process that dies is free again after a short while. It spares work and no more; that
 * no media is recorded twice is the matter of its primary key.
 */
export function makePullTurns(parts: PullTurnParts): PullTurns {
  const { db, clock, holder, leaseMs } = parts;
  const hearers = new Map<string, Set<(failure: PullFailure | undefined) => void>>();

  return {
    async take(mxc) {
      const now = clock();
      const name = `fetch ${formatMxc(mxc)}`;
      if (!(await acquireLease(db, { name, holder, now, until: now + leaseMs }))) return undefined;
      const timer = setInterval(() => {
        renewLease(db, { name, holder, until: clock() + leaseMs }).catch((error) => {
          parts.log.warn({ error }, "cannot renew the turn to fetch a media");
        });
      }, leaseMs / 4).unref();
      return {
        async end(failure) {
          clearInterval(timer);
          const news: EndedFetch = { uri: formatMxc(mxc), failure };
          await db.transaction(async (tx) => {
            await releaseLease(tx, { name, holder });
            await parts.bus.send(PULLED, news, tx);
          });
        },
      };
    },
    listen(mxc) {
      const uri = formatMxc(mxc);
      const group = hearers.get(uri) ?? new Set();
      let news = Promise.withResolvers<PullFailure | undefined>();
      const hear = (failure: PullFailure | undefined) => news.resolve(failure);
      hearers.set(uri, group.add(hear));
      return {
        async next(signal) {
          const failure = await Promise.race([news.promise, sleep(parts.recheckMs, signal)]);
          signal.throwIfAborted();
          news = Promise.withResolvers();
          return failure ?? undefined;
        },
        stop() {
          group.delete(hear);
          if (group.size === 0 && hearers.get(uri) === group) hearers.delete(uri);
        },
      };
    },
    heard({ uri, failure }) {
      for (const hear of hearers.get(uri) ?? []) hear(failure);
    },
    lookAgain() {
      for (const group of hearers.values()) for (const hear of group) hear(undefined);
    },
  };
}
