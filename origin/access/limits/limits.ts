import { createHash } from "node:crypto";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { TtlCache } from "../../platform/ttl.ts";
import type { Buckets, Pour } from "../../stores/cache/bucket.ts";
import { type Counted, countAddress } from "./counted.ts";
import { byteLimit, type Limit, overallLimit, pathLimit, type RateLimits } from "./rate_limits.ts";

/** What the limits are kept with. */
export interface LimitsWorld {
  /** Asked each time, so that a changed configuration holds at once. */
  readonly settings: () => RateLimits;
  readonly buckets: Buckets;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "limitReached">;
}

/** What a request is for. */
export interface Asked {
  /** The same text (a path) for all that are for the same thing. */
  readonly what: string;
  /** How much of a request it is to the limit on that thing: 1, or a fraction for what asks for a part. In all it is always one. */
  readonly weight: number;
}

/** Bytes that were charged beforehand. */
export interface Charge {
  /** Reports the actual number of bytes: what was charged too much is given back, what was too little is added. Only the first call counts. */
  settle(bytes: number): Promise<void>;
}

/** An amount for the bucket of a subject, on account of a limit. */
interface Claim {
  readonly limit: Limit;
  readonly pour: Pour;
}

const NOTHING: Charge = { settle: async () => undefined };
const KEY_BYTES = 12;
/** A subject that goes on regardless is written to the log once in this time. */
const LOG_EVERY_MS = 60_000;
const MAX_LOGGED = 10_000;

/**
 * The limits on how often and how much (`rateLimit`), counted by all processes together. The buckets are our own, for
 * matrix-media-repo promises leaky buckets of bytes, which may overflow by one answer; the libraries count in fixed windows.
 *
 * Errors: 429 `M_LIMIT_EXCEEDED`. Its text, `limit`, `limit_subject` and `limit_until` say which limit it was, whose, and until when; the
 * log says the same, once a minute for each.
 */
export class Limits {
  readonly #world: LimitsWorld;
  readonly #logged: TtlCache<true>;

  constructor(world: LimitsWorld) {
    this.#world = world;
    this.#logged = new TtlCache({ clock: world.steady, max: MAX_LOGGED, ttlMs: LOG_EVERY_MS });
  }

  /** Counts a request that has not shown who it is from, as it said it would, against its address. */
  async countFailure(address: string | undefined): Promise<void> {
    const { name } = countAddress(address);
    await this.#claim(name, [this.#overall(name)]);
  }

  /** Looks whether {@link Limits.countFailure} would still let one pass, and counts nothing: before what is costly is done for it. */
  async checkFailures(address: string | undefined): Promise<void> {
    const { name } = countAddress(address);
    const claim = this.#overall(name);
    await this.#claim(name, [claim && { ...claim, pour: { ...claim.pour, ...withRoomForOne(claim.limit) } }]);
  }

  /** Counts a request for something (a text: a whole request for it): against who sent it for this one thing, and in all. */
  async checkRequest(who: Counted, asked: Asked | string): Promise<void> {
    if (who.exempt) return;
    await this.#claim(who.name, [this.#perPath(who.name, asked), this.#overall(who.name)]);
  }

  /** Charges bytes that are about to be sent to somebody. */
  async chargeDownload(who: Counted, bytes: number): Promise<Charge> {
    return who.exempt ? NOTHING : await this.#charge("downloads", who.name, bytes);
  }

  /**
   * Charges bytes that are about to be fetched from another server: to who asked for them and to the homeserver (its
   * name) that keeps them. Where the length is not known, charge the most it may be.
   */
  async chargeFetch(who: Counted, homeserver: string, bytes: number): Promise<Charge> {
    const ofAll = await this.#charge("remoteFetches", `homeserver ${homeserver}`, bytes);
    try {
      const own = who.exempt ? NOTHING : await this.#charge("downloads", who.name, bytes);
      return { settle: async (actual) => void (await Promise.all([ofAll.settle(actual), own.settle(actual)])) };
    } catch (error) {
      await ofAll.settle(0);
      throw error;
    }
  }

  async #charge(kind: keyof RateLimits["buckets"], subject: string, bytes: number): Promise<Charge> {
    const { settings, buckets } = this.#world;
    const limit = byteLimit(settings(), kind);
    if (!limit || bytes <= 0) return NOTHING;
    const pour = { key: `${kind}:${subject}`, size: limit.size, amount: bytes };
    await this.#claim(subject, [{ limit, pour }]);
    let due = true;
    return {
      async settle(actual) {
        if (due && actual !== bytes) await buckets.correct(subject, { ...pour, amount: actual - bytes });
        due = false;
      },
    };
  }

  async #claim(subject: string, wanted: readonly (Claim | undefined)[]): Promise<void> {
    const claims = wanted.filter((one) => one !== undefined);
    if (claims.length === 0) return;
    const outcome = await this.#world.buckets.pour(
      subject,
      claims.map(({ pour }) => pour),
    );
    const limit = outcome.fits ? undefined : claims[outcome.index]?.limit;
    if (limit && !outcome.fits) throw this.#exceeded(limit, subject, outcome.waitMs);
  }

  #perPath(subject: string, asked: Asked | string): Claim | undefined {
    const limit = pathLimit(this.#world.settings());
    const { what, weight } = typeof asked === "string" ? { what: asked, weight: 1 } : asked;
    // Whoever asks chooses `what`: only its hash is kept.
    return limit && { limit, pour: { key: `path:${subject}:${hashed(what)}`, size: limit.size, amount: weight } };
  }

  #overall(subject: string): Claim | undefined {
    const limit = overallLimit(this.#world.settings());
    return limit && { limit, pour: { key: `all:${subject}`, size: limit.size, amount: 1 } };
  }

  #exceeded(limit: Limit, subject: string, waitMs: number): MatrixError {
    const { clock, log, metrics } = this.#world;
    const retryAfterMs = Math.max(1, Math.ceil(waitMs));
    metrics.limitReached(limit.name);
    const key = `${limit.name} ${subject}`;
    if (!this.#logged.get(key)) {
      this.#logged.set(key, true);
      log.warn({ limit: limit.name, subject, rule: limit.rule, retryAfterMs }, "refused: a limit was reached");
    }
    const seconds = Math.ceil(retryAfterMs / 100) / 10;
    const text = `Too much for ${limit.name}: ${subject} may have ${limit.rule}. Try again in ${seconds} seconds`;
    return new MatrixError("M_LIMIT_EXCEEDED", text, {
      retryAfterMs,
      extra: { limit: limit.name, limit_subject: subject, limit_until: clock() + retryAfterMs },
    });
  }
}

/** Nothing, where one would still fit in. */
function withRoomForOne({ size }: Limit): Pick<Pour, "size" | "amount"> {
  return { size: { ...size, full: size.full - 1, brim: size.brim - 1 }, amount: 0 };
}

function hashed(text: string): string {
  return createHash("sha256").update(text).digest().subarray(0, KEY_BYTES).toString("base64url");
}
