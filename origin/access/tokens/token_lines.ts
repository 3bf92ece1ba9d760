import { LRUCache } from "lru-cache";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { FairQueue, type FairQueueOptions } from "../../platform/fair_queue.ts";
import { sleep } from "../../platform/time.ts";
import { networkOf } from "../limits/subject.ts";

/** Whose token a homeserver is asked about, and from where it came. */
export interface TokenAsker {
  /** Of the homeserver. */
  readonly serverName: string;
  /** Of the token. */
  readonly tokenHash: string;
  readonly clientAddress: string | undefined;
}

/** What {@link TokenLines} needs. */
export interface TokenLinesParts {
  readonly clock: SteadyClock;
  /** Throws 429 for an address from which too many tokens came that nobody has. Asked for tokens that were not seen good. */
  readonly checkFailures: (clientAddress: string | undefined) => Promise<void>;
  /** How much is asked at once and waits, for tokens seen good and for all others each. */
  readonly bounds?: Partial<Omit<FairQueueOptions, "refuse">>;
}

interface Lines {
  readonly strangers: FairQueue;
  readonly acquaintances: FairQueue;
}

/** A homeserver is asked as many questions at once in each of the two lines; its connections must be enough for both. */
export const QUESTIONS_AT_ONCE = 32;
const WAITING = 2_000;
const WAIT_MS = 5_000;
const RETRY_AFTER_MS = 2_000;
const HOLD_MS = 500;
const MAX_HELD = 2_000;
const MAX_KNOWN = 50_000;
const KNOWN_MS = 24 * 3_600_000;
/** An address that is alone gets half of the places. */
const ADDRESS_WEIGHT = 1;
/** One token gets a quarter: it may be asked about under many names of users and devices. */
const TOKEN_WEIGHT = 1 / 3;

/**
 * The lines in which homeservers are asked about tokens. Anybody can bring tokens that nobody has, as many as he likes: the places
 * are shared out among the addresses that such tokens come from. A token that the homeserver has called good within the last day
 * stands in a line of its own, so its bearer neither waits for the others nor answers for what comes from the same address.
 *
 * Errors: 503 with `Retry-After` for whoever's turn does not come; what `checkFailures` throws.
 */
export class TokenLines {
  readonly #parts: TokenLinesParts;
  readonly #options: FairQueueOptions;
  readonly #lines = new Map<string, Lines>();
  /** When each token was seen good last, by its hash. */
  readonly #known = new LRUCache<string, number>({ max: MAX_KNOWN });
  /** How many refusals are kept back. */
  #held = 0;

  constructor(parts: TokenLinesParts) {
    this.#parts = parts;
    this.#options = { atOnce: QUESTIONS_AT_ONCE, waiting: WAITING, waitMs: WAIT_MS, ...parts.bounds, refuse: busy };
  }

  /** Asks the homeserver something with a token, when its turn comes. */
  async ask<T>(asker: TokenAsker, question: () => Promise<T>): Promise<T> {
    const { tokenHash, clientAddress, serverName } = asker;
    const { strangers, acquaintances } = this.#linesOf(serverName);
    if (this.#isKnown(tokenHash)) {
      return await acquaintances.ticket([{ name: tokenHash, weight: TOKEN_WEIGHT }]).run(question);
    }
    let isAsked = false;
    try {
      return await strangers.ticket([{ name: networkOf(clientAddress), weight: ADDRESS_WEIGHT }]).run(async () => {
        // Looked at when the turn has come: until then others of the same address may have failed.
        await this.#parts.checkFailures(clientAddress);
        isAsked = true;
        return await question();
      });
    } catch (error) {
      if (!isAsked) await this.#hold();
      throw error;
    }
  }

  /** Asks the homeserver whether a token is good, and remembers that it is. */
  async judge<T>(asker: TokenAsker, question: () => Promise<T>): Promise<T> {
    try {
      const good = await this.ask(asker, question);
      this.#known.set(asker.tokenHash, this.#parts.clock());
      return good;
    } catch (error) {
      if (error instanceof MatrixError && error.status === 401) this.#known.delete(asker.tokenHash);
      throw error;
    }
  }

  /** Keeps a refusal back for a moment: a crowd that is refused comes again at once, and more often than can be answered. */
  async #hold(): Promise<void> {
    if (this.#held >= MAX_HELD) return;
    this.#held += 1;
    await sleep(HOLD_MS);
    this.#held -= 1;
  }

  #isKnown(tokenHash: string): boolean {
    const seenMs = this.#known.get(tokenHash);
    return seenMs !== undefined && this.#parts.clock() - seenMs < KNOWN_MS;
  }

  #linesOf(serverName: string): Lines {
    const found = this.#lines.get(serverName);
    if (found) return found;
    const made = { strangers: new FairQueue(this.#options), acquaintances: new FairQueue(this.#options) };
    this.#lines.set(serverName, made);
    return made;
  }
}

function busy(): MatrixError {
  return new MatrixError("M_UNKNOWN", "Too many access tokens are being checked at the moment", {
    status: 503,
    retryAfterMs: RETRY_AFTER_MS,
  });
}
