import { Failure } from "../../../shared/matrix/failure.ts";
import { isUnauthenticated } from "../../../shared/matrix/matrix_error.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { FairQueue, type FairQueueOptions } from "../../platform/fair_queue.ts";
import { sleep } from "../../platform/time.ts";
import { TtlCache } from "../../platform/ttl.ts";
import { networkOf } from "../limits/counted.ts";

/** Whose token a homeserver is asked about, and from where it came. */
export interface TokenAsker {
  /** Of the homeserver. */
  readonly serverName: string;
  /** Of the token. */
  readonly tokenHash: string;
  readonly clientAddress: string | undefined;
}

/** What homeservers are asked with. */
export interface TokenQuestionsParts {
  readonly clock: SteadyClock;
  /** Throws 429 for an address from which too many tokens came that nobody has. Asked for tokens that were not seen good. */
  readonly checkFailures: (clientAddress: string | undefined) => Promise<void>;
  /** How much is asked at once and waits, for tokens seen good and for all others each. */
  readonly bounds?: Partial<Omit<FairQueueOptions, "refuse">>;
}

interface Queues {
  /** For tokens that were seen good. */
  readonly known: FairQueue;
  readonly unknown: FairQueue;
}

/** A homeserver is asked as many questions at once from each of its two queues; its connections must be enough for both. */
export const QUESTIONS_AT_ONCE = 32;
const WAITING = 2_000;
const WAIT_MS = 5_000;
const RETRY_AFTER_MS = 2_000;
const DELAY_MS = 500;
const MAX_DELAYED = 2_000;
const MAX_KNOWN = 50_000;
const KNOWN_MS = 24 * 3_600_000;
/** An address that is alone gets half of the queue. */
const ADDRESS_WEIGHT = 1;
/** One token gets a quarter: it may be asked about under many names of users and devices. */
const TOKEN_WEIGHT = 1 / 3;

/**
 * Asks homeservers about tokens, from two queues. Anybody can send any number of invalid tokens: the first queue is divided among the
 * addresses that they come from. A token that the homeserver has called good within the last day waits in the second, so that its
 * bearer neither waits for the others nor is held responsible for what comes from the same address.
 *
 * Errors: `busy` where a question waits too long; what `checkFailures` throws.
 */
export class TokenQuestions {
  readonly #parts: TokenQuestionsParts;
  readonly #options: FairQueueOptions;
  readonly #queues = new Map<string, Queues>();
  /** The hashes of tokens that were seen good. */
  readonly #good: TtlCache<true>;
  /** How many refusals are delayed. */
  #delayed = 0;

  constructor(parts: TokenQuestionsParts) {
    this.#parts = parts;
    this.#good = new TtlCache({ clock: parts.clock, max: MAX_KNOWN, ttlMs: KNOWN_MS });
    this.#options = { atOnce: QUESTIONS_AT_ONCE, waiting: WAITING, waitMs: WAIT_MS, ...parts.bounds, refuse: busy };
  }

  /** Asks the homeserver something with a token, when it is its turn. */
  async ask<T>(asker: TokenAsker, question: () => Promise<T>): Promise<T> {
    const { tokenHash, clientAddress, serverName } = asker;
    const { known, unknown } = this.#queuesOf(serverName);
    if (this.#good.get(tokenHash)) {
      return await known.ticket([{ name: tokenHash, weight: TOKEN_WEIGHT }]).run(question);
    }
    let isAsked = false;
    try {
      return await unknown.ticket([{ name: networkOf(clientAddress), weight: ADDRESS_WEIGHT }]).run(async () => {
        // Not before: until now others of the same address may have failed.
        await this.#parts.checkFailures(clientAddress);
        isAsked = true;
        return await question();
      });
    } catch (error) {
      if (!isAsked) await this.#delay();
      throw error;
    }
  }

  /** Asks the homeserver whether a token is good, and remembers that it is. */
  async judge<T>(asker: TokenAsker, question: () => Promise<T>): Promise<T> {
    try {
      const good = await this.ask(asker, question);
      this.#good.set(asker.tokenHash, true);
      return good;
    } catch (error) {
      if (isUnauthenticated(error)) this.#good.delete(asker.tokenHash);
      throw error;
    }
  }

  /** Delays a refusal for a moment: a crowd that is refused comes again at once, and more often than can be answered. */
  async #delay(): Promise<void> {
    if (this.#delayed >= MAX_DELAYED) return;
    this.#delayed += 1;
    await sleep(DELAY_MS);
    this.#delayed -= 1;
  }

  #queuesOf(serverName: string): Queues {
    const found = this.#queues.get(serverName);
    if (found) return found;
    const made = { known: new FairQueue(this.#options), unknown: new FairQueue(this.#options) };
    this.#queues.set(serverName, made);
    return made;
  }
}

function busy(): Failure {
  return new Failure("busy", "Too many access tokens are being checked at the moment", {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
