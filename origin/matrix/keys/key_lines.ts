import { Failure } from "../../../shared/matrix/failure.ts";
import { type Claim, FairQueue, type Ticket } from "../../platform/fair_queue.ts";

/** In which order servers are asked for their keys: see {@link makeKeyLines}. */
export interface KeyLines {
  /** What a place in the line is counted against. */
  claimOf(asker: string): Claim;
  /** A place in the line of the servers that we know, or of those that we do not. */
  ticket(asker: string, isKnown: boolean): Ticket;
}

const AT_ONCE = 32;
const WAITING = 256;
/** The first asker gets a quarter of the places; with a dozen of them there are still some left. */
const WEIGHT = 1 / 3;
const RETRY_AFTER_MS = 5_000;

/**
 * Anybody can name servers to us, without showing who he is, and a server that does not answer takes a place until we have lost
 * patience. So everybody has a few places only, and servers that have shown keys before stand in a line of their own.
 *
 * Errors of the tickets: `busy` for those whose turn does not come within `waitMs` milliseconds.
 */
export function makeKeyLines(waitMs: number): KeyLines {
  const options = { atOnce: AT_ONCE, waiting: WAITING, waitMs, refuse: keysBusy };
  const strangers = new FairQueue(options);
  const acquaintances = new FairQueue(options);
  const claimOf = (asker: string): Claim => [{ name: asker, weight: WEIGHT }];
  return { claimOf, ticket: (asker, isKnown) => (isKnown ? acquaintances : strangers).ticket(claimOf(asker)) };
}

/** No server can be asked at the moment. */
export function keysBusy(): Failure {
  const message = "Too many servers are being asked for their signing keys at the moment";
  return new Failure("busy", message, { retryAfterMs: RETRY_AFTER_MS });
}
