import { LRUCache } from "lru-cache";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Limit } from "./rate_limits.ts";

/** What {@link makeRefuse} needs. */
export interface RefuseParts {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "limitReached">;
}

/** Makes the answer to somebody who has reached a limit. Time in milliseconds. */
export type Refuse = (limit: Limit, subject: string, waitMs: number) => MatrixError;

/** Somebody who goes on regardless is written to the log once in this time. */
const LOG_EVERY_MS = 60_000;
const MAX_REMEMBERED = 10_000;

/**
 * Refuses with 429 `M_LIMIT_EXCEEDED`: the text, `limit`, `limit_subject` and `limit_until` say which limit it was, whose
 * and until when. The log says the same, once a minute for each.
 */
export function makeRefuse({ clock, steady, log, metrics }: RefuseParts): Refuse {
  const logged = new LRUCache<string, number>({ max: MAX_REMEMBERED });

  return function refuse(limit, subject, waitMs) {
    const retryAfterMs = Math.max(1, Math.ceil(waitMs));
    const until = clock() + retryAfterMs;
    metrics.limitReached(limit.name);
    if (isNews(`${limit.name} ${subject}`)) {
      log.warn({ limit: limit.name, subject, rule: limit.rule, retryAfterMs }, "refused: a limit was reached");
    }
    const seconds = Math.ceil(retryAfterMs / 100) / 10;
    const text = `Too much for ${limit.name}: ${subject} may have ${limit.rule}. Try again in ${seconds} seconds`;
    return new MatrixError("M_LIMIT_EXCEEDED", text, {
      retryAfterMs,
      extra: { limit: limit.name, limit_subject: subject, limit_until: until },
    });
  };

  function isNews(what: string): boolean {
    const now = steady();
    if (now - (logged.get(what) ?? Number.NEGATIVE_INFINITY) < LOG_EVERY_MS) return false;
    logged.set(what, now);
    return true;
  }
}
