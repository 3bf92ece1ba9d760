import { createHash } from "node:crypto";
import type { Buckets, Pour } from "../../stores/cache/bucket.ts";
import { byteLimit, type Limit, overallLimit, pathLimit, type RateLimits } from "./rate_limits.ts";
import { makeRefuse, type RefuseParts } from "./refuse.ts";
import { type Counted, nameOf } from "./subject.ts";

/** What {@link makeLimits} needs. `settings` is asked each time, so that a changed configuration holds at once. */
export interface LimitsParts extends RefuseParts {
  readonly settings: () => RateLimits;
  readonly buckets: Buckets;
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
  /** Says how many it were in the end: what was charged too much is given back, what was too little is added. Only the first call counts. */
  settle(bytes: number): Promise<void>;
}

/**
 * The limits on how often and how much (`rateLimit`), counted by all processes together.
 *
 * Errors: 429 `M_LIMIT_EXCEEDED` that says which limit it was, whose, and until when: see `refuse.ts`.
 */
export interface Limits {
  /** Counts a request that has not shown who it is from, as it said it would, against its address. */
  countFailure(address: string | undefined): Promise<void>;
  /** Looks whether {@link Limits.countFailure} would still let one pass, and counts nothing: before what is costly is done for it. */
  checkFailures(address: string | undefined): Promise<void>;
  /** Counts a request for something (a text: a whole request for it): against who sent it for this one thing, and in all. */
  checkRequest(who: Counted, asked: Asked | string): Promise<void>;
  /** Charges bytes that are about to be sent to somebody. */
  chargeDownload(who: Counted, bytes: number): Promise<Charge>;
  /**
   * Charges bytes that are about to be fetched from another server: to who asked for them and to the homeserver (its
   * name) that keeps them. Where the length is not known, charge the most it may be.
   */
  chargeFetch(who: Counted, homeserver: string, bytes: number): Promise<Charge>;
}

/** What is to go into which bucket of a subject, on account of which limit. */
interface Claim {
  readonly limit: Limit;
  readonly pour: Pour;
}

const NOTHING: Charge = { settle: async () => undefined };
const KEY_BYTES = 12;

/** Makes the limits: see {@link Limits}. */
export function makeLimits(parts: LimitsParts): Limits {
  const { settings, buckets } = parts;
  const refuse = makeRefuse(parts);

  return {
    async countFailure(address) {
      const subject = nameOf({ kind: "address", address });
      await claim(subject, [overall(subject)]);
    },
    async checkFailures(address) {
      const subject = nameOf({ kind: "address", address });
      const counted = overall(subject);
      await claim(subject, [counted && { ...counted, pour: { ...counted.pour, ...withRoomForOne(counted.limit) } }]);
    },
    async checkRequest(who, asked) {
      if (isExempt(who)) return;
      const subject = nameOf(who);
      await claim(subject, [perPath(subject, asked), overall(subject)]);
    },
    async chargeDownload(who, bytes) {
      return isExempt(who) ? NOTHING : await charge("downloads", nameOf(who), bytes);
    },
    async chargeFetch(who, homeserver, bytes) {
      const ofAll = await charge("remoteFetches", `homeserver ${homeserver}`, bytes);
      try {
        const own = isExempt(who) ? NOTHING : await charge("downloads", nameOf(who), bytes);
        return { settle: async (actual) => void (await Promise.all([ofAll.settle(actual), own.settle(actual)])) };
      } catch (error) {
        await ofAll.settle(0);
        throw error;
      }
    },
  };

  async function charge(kind: keyof RateLimits["buckets"], subject: string, bytes: number): Promise<Charge> {
    const limit = byteLimit(settings(), kind);
    if (!limit || bytes <= 0) return NOTHING;
    const pour = { key: `${kind}:${subject}`, size: limit.size, amount: bytes };
    await claim(subject, [{ limit, pour }]);
    let due = true;
    return {
      async settle(actual) {
        if (due && actual !== bytes) await buckets.correct(subject, { ...pour, amount: actual - bytes });
        due = false;
      },
    };
  }

  async function claim(subject: string, wanted: readonly (Claim | undefined)[]): Promise<void> {
    const claims = wanted.filter((one) => one !== undefined);
    if (claims.length === 0) return;
    const outcome = await buckets.pour(
      subject,
      claims.map(({ pour }) => pour),
    );
    const limit = outcome.fits ? undefined : claims[outcome.index]?.limit;
    if (limit && !outcome.fits) throw refuse(limit, subject, outcome.waitMs);
  }

  function perPath(subject: string, asked: Asked | string): Claim | undefined {
    const limit = pathLimit(settings());
    const { what, weight } = typeof asked === "string" ? { what: asked, weight: 1 } : asked;
    // Whoever asks chooses `what`: only its hash is kept.
    return limit && { limit, pour: { key: `path:${subject}:${hashed(what)}`, size: limit.size, amount: weight } };
  }

  function overall(subject: string): Claim | undefined {
    const limit = overallLimit(settings());
    return limit && { limit, pour: { key: `all:${subject}`, size: limit.size, amount: 1 } };
  }
}

/** Nothing, where one would still fit in. */
function withRoomForOne({ size }: Limit): Pick<Pour, "size" | "amount"> {
  return { size: { ...size, full: size.full - 1, brim: size.brim - 1 }, amount: 0 };
}

function isExempt(who: Counted): boolean {
  return who.kind === "user" && who.exempt;
}

function hashed(text: string): string {
  return createHash("sha256").update(text).digest().subarray(0, KEY_BYTES).toString("base64url");
}
