import type { Credentials } from "../../shared/matrix/access_token.ts";
import { verdictKey } from "../../shared/tiers/object_key.ts";
import { type LiveVerdict, VERDICT_MEMORY_MS, type Verdict } from "../../shared/tiers/verdict.ts";
import type { DocumentCache } from "../cache/document_cache.ts";
import { Flight } from "../cache/flight.ts";
import { Lru } from "../cache/lru.ts";
import type { OriginClient } from "../origin/origin_client.ts";
import type { Clock, SteadyClock } from "../steady_clock.ts";
import type { Visit } from "../visit.ts";

/** What {@link makeJudge} needs. */
export interface JudgeParts {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  /** The `a/` documents of the bucket. */
  readonly verdicts: DocumentCache<Verdict>;
  readonly origin: Pick<OriginClient, "verdict">;
}

/** Judges credentials: see {@link makeJudge}. */
export type Judge = (visit: Visit, credentials: Credentials) => Promise<LiveVerdict>;

/** Verdicts remembered in one isolate. */
const MAX_REMEMBERED = 10_000;

/** Who asks later than this, asks anew: a logout in between must be seen (docs/architecture.md, rule 4). */
const JOIN_MS = 2_000;

/** Longer than the origin client waits: whoever waits with others gets the origin's answer, or its deadline. */
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
 * Errors: the refusal that the client must get (of the homeserver, by way of the origin), or that there is no answer. Never
 * cached. A bucket that cannot be read is as good as empty here: the origin decides.
 */
export function makeJudge({ clock, steady, verdicts, origin }: JudgeParts): Judge {
  const memory = new Lru<Remembered>(MAX_REMEMBERED);
  const judging = new Flight<LiveVerdict>({ joinMs: JOIN_MS, waitMs: WAIT_MS });

  /** Looks into the bucket and asks the origin as one piece of work: who comes between the two joins it too. */
  async function judge(key: string, visit: Visit, credentials: Credentials): Promise<LiveVerdict> {
    const stored = await verdicts.read(key, visit.keepAlive).catch(() => undefined);
    if (isLive(stored, clock())) return stored;
    const askedMs = steady();
    const { verdict, scope } = await origin.verdict(visit, credentials);
    if (scope === "bucket") verdicts.remember(key, verdict, askedMs);
    if (scope === "memory") memory.set(key, { verdict, untilMs: askedMs + VERDICT_MEMORY_MS });
    return verdict;
  }

  return async (visit, credentials) => {
    const key = await verdictKey({ host: visit.host, ...credentials });
    const now = steady();
    const remembered = memory.get(key);
    if (remembered && remembered.untilMs > now && isLive(remembered.verdict, clock())) return remembered.verdict;
    const kept = verdicts.kept(key, now);
    if (isLive(kept, clock())) return kept;
    return await judging.run(key, now, () => judge(key, visit, credentials), visit.keepAlive);
  };
}

function isLive(verdict: Verdict | undefined, nowMs: number): verdict is LiveVerdict {
  return verdict !== undefined && !verdict.gone && verdict.exp > nowMs;
}
