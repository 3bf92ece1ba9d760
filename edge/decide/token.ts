import type { Credentials } from "../../shared/matrix/access_token.ts";
import { verdictKey } from "../../shared/tiers/object_key.ts";
import { type LiveVerdict, VERDICT_MEMORY_MS, type Verdict } from "../../shared/tiers/verdict.ts";
import { type DocumentCache, documentOf } from "../cache/document_cache.ts";
import { Flight } from "../cache/flight.ts";
import { Lru } from "../cache/lru.ts";
import type { OriginClient } from "../origin/client.ts";
import type { EdgeRequest } from "../request.ts";
import type { Clock, SteadyClock } from "../steady_clock.ts";

/** What judging tokens takes from outside. */
export interface TokensOptions {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  /** The `a/` documents of the bucket. */
  readonly verdicts: DocumentCache<Verdict>;
  readonly origin: Pick<OriginClient, "verdict">;
}

/** Verdicts remembered in one isolate, and as many keys of tokens: one is hashed once, not for each request. */
const MAX_REMEMBERED = 10_000;

/** A request that comes later than this asks anew: a logout in between must be seen (docs/architecture.md, rule 4). */
const JOIN_MS = 2_000;

/** Longer than the origin client waits: a request that waits with others gets the origin's answer, or its deadline. */
const WAIT_MS = 30_000;

interface Remembered {
  readonly verdict: LiveVerdict;
  /** By the steady clock. It may end before, by its own date. */
  readonly untilMs: number;
}

/**
 * Judges access tokens, nearest first: what this isolate remembers, the bucket, the origin. Many requests with one new token
 * ask the origin once.
 *
 * Only a "yes" is ever remembered, and for two seconds at most, so that a logout is seen: where the origin says `bucket`, the
 * document there, which is read again after that; where it says `memory`, in the isolate; where it says `once`, not at all.
 */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #keys = new Lru<string>(MAX_REMEMBERED);
  readonly #memory = new Lru<Remembered>(MAX_REMEMBERED);
  readonly #judging = new Flight<LiveVerdict>({ joinMs: JOIN_MS, waitMs: WAIT_MS });

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /**
   * The verdict on the credentials of a request. Errors: the refusal that the client must get (of the homeserver, by way of the origin),
   * or that there is no answer; never remembered. A bucket that cannot be read counts as empty here: the origin decides.
   */
  async judge(request: EdgeRequest, credentials: Credentials): Promise<LiveVerdict> {
    const { clock, steady, verdicts } = this.#options;
    const key = await this.#keyOf(request.host, credentials);
    const now = steady();
    const remembered = this.#memory.get(key);
    if (remembered && remembered.untilMs > now && isLive(remembered.verdict, clock())) return remembered.verdict;
    const kept = verdicts.kept(key, now);
    if (isLive(kept, clock())) return kept;
    return await this.#judging.run(key, now, () => this.#ask(key, request, credentials), request.keepAlive);
  }

  async #keyOf(host: string, { token, userId, deviceId }: Credentials): Promise<string> {
    // None of the four can hold a line feed, and an absent one differs from every text.
    const who = `${host}\n${token}\n${userId ?? "\r"}\n${deviceId ?? "\r"}`;
    const known = this.#keys.get(who);
    if (known !== undefined) return known;
    const key = await verdictKey({ host, token, userId, deviceId });
    this.#keys.set(who, key);
    return key;
  }

  /** Looks into the bucket and asks the origin as one piece of work: a request that comes between the two joins it too. */
  async #ask(key: string, request: EdgeRequest, credentials: Credentials): Promise<LiveVerdict> {
    const { clock, steady, verdicts, origin } = this.#options;
    const stored = documentOf(await verdicts.find(key, request.keepAlive));
    if (isLive(stored, clock())) return stored;
    const askedMs = steady();
    const { verdict, scope } = await origin.verdict(request, credentials);
    if (scope === "bucket") verdicts.remember(key, verdict, askedMs);
    if (scope === "memory") this.#memory.set(key, { verdict, untilMs: askedMs + VERDICT_MEMORY_MS });
    return verdict;
  }
}

function isLive(verdict: Verdict | undefined, nowMs: number): verdict is LiveVerdict {
  return verdict !== undefined && !verdict.gone && verdict.exp > nowMs;
}
