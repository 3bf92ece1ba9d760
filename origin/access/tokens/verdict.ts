import type { Credentials } from "../../../shared/matrix/access_token.ts";
import type { ServingPolicy } from "../../../shared/tiers/domain_policy.ts";
import { type LiveVerdict, VERDICT_MEMORY_MS, type VerdictScope } from "../../../shared/tiers/verdict.ts";
import { Circuit } from "../../platform/circuit.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { EdgeBucket } from "../../stores/bucket/edge_bucket.ts";
import type { Database } from "../../stores/db/database.ts";
import { settleVerdict, takeBackVerdict } from "../../stores/db/tables/verdicts.ts";
import { SHARED_SECRET_USER, sameSecret } from "./application_service.ts";
import { hashToken, type JudgeToken, type TokenDomain } from "./judge_token.ts";
import type { JudgedIdentity } from "./token_cache.ts";

/** What {@link makeVerdict} needs. Times in milliseconds. */
export interface VerdictParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly judgeToken: JudgeToken;
  /** Forgets what is remembered of a token, by its hash. */
  readonly forget: (tokenHash: string) => void;
  /** Whether the terms that a request began with are still those of the configuration. */
  readonly isInForce: (domain: Pick<TokenDomain, "serverName" | "terms">) => boolean;
  readonly bucket: Pick<EdgeBucket, "writeDocument" | "readDocument">;
  /** Whether the bucket may hold verdicts at all. */
  readonly keepsOrder: () => Promise<boolean>;
  readonly metrics: Pick<Metrics, "published">;
  /** MMR's shared secret, which no homeserver knows. */
  readonly sharedSecret: () => string | undefined;
  readonly deadlineMs: number;
}

/** A verdict for the edge, and for how long. */
export interface GivenVerdict {
  readonly verdict: LiveVerdict;
  readonly scope: VerdictScope;
}

/** Judges a token for the edge: see {@link makeVerdict}. */
export type GiveVerdict = (
  domain: VerdictDomain,
  credentials: Credentials,
  context: { host: string; clientAddress: string | undefined },
) => Promise<GivenVerdict>;

type VerdictDomain = TokenDomain & { readonly policy: ServingPolicy };

/** A judgement that is to become a verdict. */
interface Judged {
  readonly domain: VerdictDomain;
  readonly credentials: Credentials;
  readonly identity: JudgedIdentity;
}

/** Where a verdict ended up; `void`: nowhere, for it was revoked meanwhile. */
type Placed = "bucket" | "memory" | "void";

/** After as many failures in a row the store is left alone for a while. */
const STORE_FAILURES = 3;

/**
 * The verdict on a token for one host. Where the configuration lets tokens be remembered, logouts pass through us: the verdict
 * is written to the bucket, by the generation drawn before the homeserver was asked, and a logout puts a tombstone in its
 * place. Where that cannot be, or would be one of very many (see {@link isVain} and `settleVerdict`), the edge remembers it for
 * no longer than it takes to notice a logout; where tokens are not to be remembered, not at all.
 *
 * A verdict that turns out to be void is asked for anew: if the token has ended, the homeserver says so in its own words.
 * Errors: what the client must get.
 */
export function makeVerdict(parts: VerdictParts): GiveVerdict {
  // Who waits for a verdict is not to wait each time for a store that is away.
  const store = new Circuit({ failures: STORE_FAILURES, clock: parts.steady });

  return async function giveVerdict(domain, credentials, context) {
    const secret = parts.sharedSecret();
    if (secret !== undefined && sameSecret(secret, credentials.token)) {
      return give(domain, { ...SECRETLY, expiresAt: parts.clock() + VERDICT_MEMORY_MS }, "memory");
    }
    const fenced = domain.tokenTtlMs > VERDICT_MEMORY_MS && (await parts.keepsOrder().catch(() => false));
    const judge = () => parts.judgeToken(domain, credentials, { ...context, fenced });
    if (!fenced) return give(domain, await judge(), domain.tokenTtlMs > 0 ? "memory" : "once");

    const judgeAndPlace = async () => {
      const identity = await judge();
      return { identity, placed: await place({ domain, credentials, identity }) };
    };
    let given = await judgeAndPlace();
    if (given.placed === "void") {
      parts.forget(hashToken(credentials.token));
      given = await judgeAndPlace();
    }
    return give(domain, given.identity, given.placed === "void" ? "once" : given.placed);
  };

  function give(domain: VerdictDomain, identity: JudgedIdentity, scope: VerdictScope): GivenVerdict {
    const now = parts.clock();
    const longest = { bucket: identity.expiresAt, memory: now + VERDICT_MEMORY_MS, once: now };
    return { verdict: makeLive(domain, identity, Math.min(identity.expiresAt, longest[scope])), scope };
  }

  /** Puts the verdict into the bucket if it may lie there, and says where it ended up. */
  async function place({ domain, credentials, identity }: Judged): Promise<Placed> {
    const { note, userId, deviceId, expiresAt } = identity;
    if (!note) return "memory";
    if (isVain(credentials, identity)) {
      await takeBackVerdict(parts.db, note);
      return "memory";
    }
    // The user's name is noted before the check, and a revocation of the user is noted before it looks for names: one of
    // the two always sees the other.
    const verdict = { ...note, userId, deviceId, terms: domain.terms, expiresAt };
    const settled = await settleVerdict(parts.db, verdict, parts.clock());
    if (settled === "void") return "void";
    // Looked at after it was noted: a change of the configuration from now on finds it, one before is seen here.
    if (settled !== "settled" || !parts.isInForce(domain)) return "memory";
    return await write(note.key, makeLive(domain, identity, expiresAt));
  }

  async function write(key: string, verdict: LiveVerdict): Promise<Placed> {
    try {
      const signal = AbortSignal.timeout(parts.deadlineMs);
      const outcome = await store.run(
        () => parts.bucket.writeDocument(key, verdict, signal),
        () => "down",
      );
      if (outcome === "written") parts.metrics.published("verdict");
      else if ((await parts.bucket.readDocument(key))?.gone) return "void";
      return "bucket";
    } catch {
      return "memory";
    }
  }
}

/**
 * Whether who asks says to be somebody, or on some device, without effect: only an application service may, and anybody may
 * say anything. Of such verdicts there could be any number on one token.
 */
function isVain(credentials: Credentials, { userId, deviceId }: JudgedIdentity): boolean {
  return (
    (credentials.userId !== undefined && credentials.userId !== userId) ||
    (credentials.deviceId !== undefined && credentials.deviceId !== deviceId)
  );
}

/** The bearer of the shared secret: known without asking anybody. */
const SECRETLY = { userId: SHARED_SECRET_USER, isGuest: false, note: undefined };

function makeLive(
  domain: { readonly serverName: string; readonly policy: ServingPolicy },
  identity: JudgedIdentity,
  exp: number,
): LiveVerdict {
  return {
    v: 1,
    gen: identity.note?.generation ?? 0,
    server_name: domain.serverName,
    user_id: identity.userId,
    ...(identity.deviceId === undefined ? {} : { device_id: identity.deviceId }),
    is_guest: identity.isGuest,
    exp,
    policy: domain.policy,
  };
}
