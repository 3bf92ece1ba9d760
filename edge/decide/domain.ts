import { isRefusal } from "../../shared/matrix/matrix_error.ts";
import type { ServedDomain } from "../../shared/tiers/domain_policy.ts";
import { Flight } from "../cache/flight.ts";
import { Lru } from "../cache/lru.ts";
import type { OriginClient } from "../origin/client.ts";
import type { EdgeRequest } from "../request.ts";
import type { SteadyClock } from "../steady_clock.ts";

/** How long the origin's word is taken without asking again, in milliseconds: the configuration may change. */
const FRESH_MS = 60_000;

/** How long it is taken when the origin cannot be asked, in milliseconds. */
const HOLD_MS = 24 * 3_600_000;

/** How long no request waits for an origin that could not be asked, in milliseconds. */
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
 * Whose a host is, for requests without a token (a verdict on a token is bound to the host, and says it too). The origin is asked
 * once a minute for each host, and once by many requests; when it cannot answer, its last good word holds for a day, so that
 * what lies in the bucket is still served.
 */
export class Domains {
  readonly #clock: SteadyClock;
  readonly #origin: Pick<OriginClient, "domain">;
  readonly #known = new Lru<Known>(MAX_HOSTS);
  readonly #asking = new Flight<ServedDomain>({ joinMs: FRESH_MS, waitMs: WAIT_MS });

  constructor(clock: SteadyClock, origin: Pick<OriginClient, "domain">) {
    this.#clock = clock;
    this.#origin = origin;
  }

  /** The domain of the request's host. Errors: the refusal of a host that nobody serves, never remembered; that there is no answer. */
  async find(request: EdgeRequest): Promise<ServedDomain> {
    const host = request.host.toLowerCase();
    const now = this.#clock();
    const held = this.#known.get(host);
    if (held && now < held.askAgainMs) return held.domain;
    try {
      return await this.#asking.run(host, now, () => this.#ask(host, request), request.keepAlive);
    } catch (thrown) {
      if (held && !isRefusal(thrown) && now - held.takenMs < HOLD_MS) {
        this.#known.set(host, { ...held, askAgainMs: this.#clock() + RETRY_MS });
        return held.domain;
      }
      this.#known.delete(host);
      throw thrown;
    }
  }

  async #ask(host: string, request: EdgeRequest): Promise<ServedDomain> {
    const takenMs = this.#clock();
    const domain = await this.#origin.domain(request);
    this.#known.set(host, { domain, takenMs, askAgainMs: takenMs + FRESH_MS });
    return domain;
  }
}
