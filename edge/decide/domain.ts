import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { ServedDomain } from "../../shared/tiers/domain_policy.ts";
import { Flight } from "../cache/flight.ts";
import { Lru } from "../cache/lru.ts";
import type { OriginClient } from "../origin/origin_client.ts";
import type { SteadyClock } from "../steady_clock.ts";
import type { Visit } from "../visit.ts";

/** What {@link makeFindDomain} needs. */
export interface FindDomainParts {
  readonly clock: SteadyClock;
  readonly origin: Pick<OriginClient, "domain">;
}

/** Finds out whose the host of a visit is: see {@link makeFindDomain}. */
export type FindDomain = (visit: Visit) => Promise<ServedDomain>;

/** How long the origin's word is taken without asking again: the configuration may change. */
const FRESH_MS = 60_000;

/** How long it is taken when the origin cannot be asked, in milliseconds. */
const HOLD_MS = 24 * 3_600_000;

/** When the origin could not be asked, nobody else need wait for it in the next milliseconds. */
const RETRY_MS = 10_000;

/** Hosts known in one isolate. */
const MAX_HOSTS = 1_000;

/** Longer than the origin client waits. */
const WAIT_MS = 10_000;

interface Known {
  readonly domain: ServedDomain;
  readonly takenMs: number;
  readonly askAgainMs: number;
}

/**
 * Whose a host is, for those who bring no token (a verdict on a token is bound to the host, and says it too). The origin is asked
 * once a minute for each host, and once by many; when it cannot answer, its last good word within a day goes on to hold, so that
 * what lies in the bucket is still served.
 *
 * Errors: the refusal of a host that nobody serves, which is never remembered; or that there is no answer.
 */
export function makeFindDomain({ clock, origin }: FindDomainParts): FindDomain {
  const known = new Lru<Known>(MAX_HOSTS);
  const asking = new Flight<ServedDomain>({ joinMs: FRESH_MS, waitMs: WAIT_MS });

  async function ask(host: string, visit: Visit): Promise<ServedDomain> {
    const takenMs = clock();
    const domain = await origin.domain(visit);
    known.set(host, { domain, takenMs, askAgainMs: takenMs + FRESH_MS });
    return domain;
  }

  return async (visit) => {
    const host = visit.host.toLowerCase();
    const now = clock();
    const held = known.get(host);
    if (held && now < held.askAgainMs) return held.domain;
    try {
      return await asking.run(host, now, () => ask(host, visit), visit.keepAlive);
    } catch (thrown) {
      const holds = held && isOutage(thrown) && now - held.takenMs < HOLD_MS;
      if (!holds) {
        known.delete(host);
        throw thrown;
      }
      known.set(host, { ...held, askAgainMs: clock() + RETRY_MS });
      return held.domain;
    }
  };
}

/** Whether the origin could not say, rather than said no. */
function isOutage(thrown: unknown): boolean {
  return !(thrown instanceof MatrixError) || thrown.status >= 500;
}
