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
import type { JudgedIdentity, TokenCache } from "./token_cache.ts";
import { hashToken, type TokenDomain, type TokenJudge } from "./token_judge.ts";

/** What verdicts for the edge are issued with. */
export interface VerdictIssuerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly judge: TokenJudge;
  readonly cache: TokenCache;
  /** Whether the policy that a request began with is still that of the configuration. */
  readonly isInForce: (domain: Pick<TokenDomain, "serverName" | "authPolicyHash">) => boolean;
  readonly bucket: Pick<EdgeBucket, "writeDocument" | "readDocument">;
  /** Whether the bucket may hold verdicts at all. */
  readonly hasConditionalWrites: () => Promise<boolean>;
  readonly metrics: Pick<Metrics, "published">;
  /** MMR's shared secret, which no homeserver knows. */
  readonly sharedSecret: () => string | undefined;
}

/** A verdict for the edge, and for how long. */
export interface IssuedVerdict {
  readonly verdict: LiveVerdict;
  readonly scope: VerdictScope;
}

type VerdictDomain = TokenDomain & { readonly policy: ServingPolicy };

/** A judgement that is to become a verdict. */
interface Judged {
  readonly domain: VerdictDomain;
  readonly credentials: Credentials;
  readonly identity: JudgedIdentity;
}

/** Where a verdict is stored; `void`: nowhere, for it was revoked meanwhile. */
type Stored = "bucket" | "memory" | "void";

/** After as many failures in a row the store is left alone for a while. */
const STORE_FAILURES = 3;
/** A client waits for the verdict while it is written. */
const WRITE_MS = 3_000;

/**
 * Issues verdicts on tokens to the edge, each for one host. Where the configuration lets tokens be remembered, logouts pass through us: the
 * verdict is written to the bucket, by the generation drawn before the homeserver was asked, and a logout puts a tombstone in its
 * place. Where that cannot be, or would be one of very many (see {@link isUnverifiedAssertion} and `settleVerdict`), the edge
 * remembers it for no longer than it takes to notice a logout; where tokens are not to be remembered, not at all.
 */
export class VerdictIssuer {
  readonly #parts: VerdictIssuerParts;
  /** Verdicts are not delayed by a bucket that is away. */
  readonly #circuit: Circuit;

  constructor(parts: VerdictIssuerParts) {
    this.#parts = parts;
    this.#circuit = new Circuit({ failures: STORE_FAILURES, clock: parts.steady });
  }

  /**
   * The verdict on a token. One that turns out to be void is asked for anew: if the token has ended, the homeserver says so in its
   * own words. Errors: what the client must get.
   */
  async issue(
    domain: VerdictDomain,
    credentials: Credentials,
    context: { readonly host: string; readonly clientAddress: string | undefined },
  ): Promise<IssuedVerdict> {
    const { clock, cache, judge, sharedSecret, hasConditionalWrites } = this.#parts;
    const secret = sharedSecret();
    if (secret !== undefined && sameSecret(secret, credentials.token)) {
      return this.#issued(domain, { ...SHARED_SECRET_IDENTITY, expiresAt: clock() + VERDICT_MEMORY_MS }, "memory");
    }
    const fenced = domain.tokenTtlMs > VERDICT_MEMORY_MS && (await hasConditionalWrites().catch(() => false));
    const ask = () => judge.judge(domain, credentials, { ...context, fenced });
    if (!fenced) return this.#issued(domain, await ask(), domain.tokenTtlMs > 0 ? "memory" : "once");

    const judgeAndStore = async () => {
      const identity = await ask();
      return { identity, stored: await this.#store({ domain, credentials, identity }) };
    };
    let issued = await judgeAndStore();
    if (issued.stored === "void") {
      cache.revokeToken(hashToken(credentials.token));
      issued = await judgeAndStore();
    }
    return this.#issued(domain, issued.identity, issued.stored === "void" ? "once" : issued.stored);
  }

  #issued(domain: VerdictDomain, identity: JudgedIdentity, scope: VerdictScope): IssuedVerdict {
    const now = this.#parts.clock();
    const longest = { bucket: identity.expiresAt, memory: now + VERDICT_MEMORY_MS, once: now };
    return { verdict: makeLive(domain, identity, Math.min(identity.expiresAt, longest[scope])), scope };
  }

  /** Puts the verdict into the bucket if it may lie there. */
  async #store({ domain, credentials, identity }: Judged): Promise<Stored> {
    const { db, clock, isInForce } = this.#parts;
    const { note, userId, deviceId, expiresAt } = identity;
    if (!note) return "memory";
    if (isUnverifiedAssertion(credentials, identity)) {
      await takeBackVerdict(db, note);
      return "memory";
    }
    // The user's name is noted before the check, and a revocation of the user is noted before it looks for names: one of
    // the two always sees the other.
    const verdict = { ...note, userId, deviceId, terms: domain.authPolicyHash, expiresAt };
    const settled = await settleVerdict(db, verdict, clock());
    if (settled === "void") return "void";
    // Looked at after it was noted: a change of the configuration from now on finds it, one before is seen here.
    if (settled !== "settled" || !isInForce(domain)) return "memory";
    return await this.#write(note.key, makeLive(domain, identity, expiresAt));
  }

  async #write(key: string, verdict: LiveVerdict): Promise<Stored> {
    const { bucket, metrics } = this.#parts;
    try {
      const signal = AbortSignal.timeout(WRITE_MS);
      const outcome = await this.#circuit.run(
        () => bucket.writeDocument(key, verdict, signal),
        () => "down",
      );
      if (outcome === "written") metrics.published("verdict");
      else if ((await bucket.readDocument(key))?.gone) return "void";
      return "bucket";
    } catch {
      return "memory";
    }
  }
}

/**
 * Whether a request names a user or a device that the homeserver did not confirm: only an application service may name them, but
 * anyone can. Of such verdicts there could be any number on one token.
 */
function isUnverifiedAssertion(credentials: Credentials, { userId, deviceId }: JudgedIdentity): boolean {
  return (
    (credentials.userId !== undefined && credentials.userId !== userId) ||
    (credentials.deviceId !== undefined && credentials.deviceId !== deviceId)
  );
}

/** The bearer of the shared secret: known without asking anybody. */
const SHARED_SECRET_IDENTITY = { userId: SHARED_SECRET_USER, isGuest: false, note: undefined };

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
