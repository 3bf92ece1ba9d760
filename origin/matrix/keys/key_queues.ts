import { Failure } from "../../../shared/matrix/failure.ts";
import { type Claim, FairQueue, type Ticket } from "../../platform/fair_queue.ts";

const AT_ONCE = 32;
const WAITING = 256;
/** The first asker gets a quarter of the places; with a dozen of them there are still some left. */
const WEIGHT = 1 / 3;
const RETRY_AFTER_MS = 5_000;

/**
 * In which order servers are asked for their keys. Anyone can name servers to us without proof of identity, and a server that
 * does not answer takes a place until its time is over. So each asker has a few places only, and servers that have shown keys before
 * are asked in a queue of their own.
 *
 * Errors of the tickets: `busy` for those who wait too long.
 */
export class KeyQueues {
  readonly #unknown: FairQueue;
  readonly #known: FairQueue;

  /** `waitMs`: how long anybody waits, in milliseconds. */
  constructor(waitMs: number) {
    const options = { atOnce: AT_ONCE, waiting: WAITING, waitMs, refuse: keysBusy };
    this.#unknown = new FairQueue(options);
    this.#known = new FairQueue(options);
  }

  /** What a place in a queue is counted against. */
  claimOf(asker: string): Claim {
    return [{ name: asker, weight: WEIGHT }];
  }

  /** A place in the queue of the servers that we know, or of those that we do not. */
  ticket(asker: string, isKnown: boolean): Ticket {
    return (isKnown ? this.#known : this.#unknown).ticket(this.claimOf(asker));
  }
}

/** No server can be asked at the moment. */
export function keysBusy(): Failure {
  const message = "Too many servers are being asked for their signing keys at the moment";
  return new Failure("busy", message, { retryAfterMs: RETRY_AFTER_MS });
}
