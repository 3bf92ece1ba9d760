import { Failure } from "../../../shared/matrix/failure.ts";
import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { Counted } from "../../access/limits/counted.ts";
import { type Claim, FairQueue, type Ticket } from "../../platform/fair_queue.ts";

/** Gives a place among the workers: see {@link makePullSlots}. */
export type PullSlots = (serverName: string, who: Counted) => PullSlot;

/** A place for one fetch, or in the line for one. */
export interface PullSlot {
  /** Somebody else wants the same media: it is fetched when the turn of any of them has come. */
  support(who: Counted): void;
  /** Runs the fetch when its turn comes. Errors: `busy` when too many wait, or the turn does not come in time. */
  run: Ticket["run"];
}

/** What {@link makePullSlots} needs. */
export interface PullSlotOptions {
  /** Fetches at the same time (`downloads.numWorkers`); 0: as many as there may be at all. */
  readonly workers: number;
  /** Fetches that may wait for their turn. */
  readonly waiting: number;
  /** How long one may wait, in milliseconds. */
  readonly waitMs: number;
}

/** The way out serves others as well, such as questions about tokens: fetches leave half of it to them (`SafeFetchParts.maxRequests`). */
const MOST_WORKERS = 500;
/** A user who is alone gets half of the places, a host three quarters, so that no user can take all those of a host. */
const USER_WEIGHT = 1;
const HOST_WEIGHT = 3;
const RETRY_AFTER_MS = 5_000;

/**
 * Bounds how many media are fetched at the same time, from the first question to the last byte, and shares the places among
 * those who ask and the hosts that are asked, whatever their ports: neither servers that never answer nor a user who names them
 * hold up all others.
 */
export function makePullSlots({ workers, waiting, waitMs }: PullSlotOptions): PullSlots {
  const queue = new FairQueue({ atOnce: workers || MOST_WORKERS, waiting, waitMs, refuse: busy });

  return (serverName, who) => {
    const claimOf = (subject: Counted): Claim => [
      { name: subject.name, weight: USER_WEIGHT },
      { name: `host ${hostOf(serverName)}`, weight: HOST_WEIGHT },
    ];
    const ticket = queue.ticket(claimOf(who));
    return { support: (another) => ticket.support(claimOf(another)), run: ticket.run };
  };
}

function hostOf(serverName: string): string {
  return (parseServerName(serverName)?.host ?? serverName).toLowerCase();
}

function busy(): Failure {
  return new Failure("busy", "Too much media of other servers is being fetched at the moment", {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
