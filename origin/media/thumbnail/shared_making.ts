import type { Claim, Ticket } from "../../platform/fair_queue.ts";

/** A place in the line for decoders, and on whose account it was first taken. */
export interface Turn {
  readonly ticket: Ticket;
  readonly claim: Claim;
}

interface Making<V> {
  readonly turn: Turn;
  readonly made: Promise<V>;
}

/**
 * One making for all who want the same at the same time. It goes on whoever leaves, and waits no longer in the line for decoders
 * than the one of them would who may go first.
 */
export class SharedMaking<V> {
  readonly #making = new Map<string, Making<V>>();
  readonly #take: (claim: Claim) => Ticket;

  constructor(take: (claim: Claim) => Ticket) {
    this.#take = take;
  }

  /** What comes of the making under `key`, begun with `work` when none is under way. May be left alone. */
  run(key: string, claim: Claim, work: (turn: Turn) => Promise<V>): Promise<V> {
    const running = this.#making.get(key);
    running?.turn.ticket.support(claim);
    if (running) return running.made;
    const turn = { ticket: this.#take(claim), claim };
    const made = Promise.resolve(turn)
      .then(work)
      .finally(() => this.#making.delete(key));
    made.catch(() => undefined);
    this.#making.set(key, { turn, made });
    return made;
  }
}
