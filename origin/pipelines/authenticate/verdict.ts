import type { Credentials } from "../../../shared/access_token.ts";
import { MatrixError } from "../../../shared/matrix_error.ts";
import type { ServingPolicy } from "../../../shared/serving_policy.ts";
import type { LiveVerdict } from "../../../shared/verdict.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Database } from "../../stores/db/database.ts";
import { settleVerdict } from "../../stores/db/verdicts.ts";
import type { EdgeBucket } from "../../stores/edge/edge_bucket.ts";
import { SHARED_SECRET_USER, sameSecret } from "./application_service.ts";
import { type JudgeToken, type TokenDomain, tokenNames } from "./judge_token.ts";
import type { JudgedIdentity } from "./token_cache.ts";

/** What {@link makeVerdict} needs. Times in milliseconds. */
export interface VerdictParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly judgeToken: JudgeToken;
  readonly bucket: EdgeBucket;
  /** Whether the bucket may hold verdicts at all. */
  readonly keepsOrder: () => Promise<boolean>;
  readonly metrics: Pick<Metrics, "published">;
  /** MMR's shared secret, which no homeserver knows. */
  readonly sharedSecret: () => string | undefined;
  readonly deadlineMs: number;
}

/** A verdict for the edge, and where it lies: in the bucket until it expires, or only in the isolate that asked. */
export interface GivenVerdict {
  readonly verdict: LiveVerdict;
  readonly scope: "bucket" | "memory";
}

/** Judges a token for the edge: see {@link makeVerdict}. */
export type GiveVerdict = (
  domain: TokenDomain & { readonly policy: ServingPolicy },
  credentials: Credentials,
  context: { host: string; clientAddress: string | undefined },
) => Promise<GivenVerdict>;

/** A verdict that nobody would revoke lives no longer than this. */
const UNREVOCABLE_MS = 60_000;

/**
 * The verdict on a token for one host. Where logouts pass through us (the configuration lets tokens be remembered for more
 * than a minute) it is written to the bucket, by the generation drawn before the homeserver was asked; else it is only
 * answered, and lives a minute at most.
 *
 * Errors: what the client must get; 401 `M_UNKNOWN_TOKEN` when the token was revoked while it was judged.
 */
export function makeVerdict(parts: VerdictParts): GiveVerdict {
  return async function giveVerdict(domain, credentials, context) {
    const secret = parts.sharedSecret();
    if (secret !== undefined && sameSecret(secret, credentials.token)) {
      return { verdict: makeLive(domain, SECRETLY, parts.clock() + UNREVOCABLE_MS), scope: "memory" };
    }
    const lasting = domain.tokenTtlMs > UNREVOCABLE_MS && (await parts.keepsOrder().catch(() => false));
    const identity = await parts.judgeToken(domain, credentials, { ...context, fenced: lasting });
    const verdict = makeLive(domain, identity, identity.expiresAt);
    const { key } = await tokenNames(context.host, credentials);
    if (lasting && (await publish(key, verdict))) return { verdict, scope: "bucket" };
    return { verdict: { ...verdict, exp: Math.min(verdict.exp, parts.clock() + UNREVOCABLE_MS) }, scope: "memory" };
  };

  /** False when the bucket could not be written: then the verdict is good for a minute, as one that nobody would revoke. */
  async function publish(key: string, verdict: LiveVerdict): Promise<boolean> {
    const { gen, user_id, device_id, exp } = verdict;
    // The user's name is noted before the check, and a revocation of the user is noted before it looks for names: one of
    // the two always sees the other.
    const settled = { key, generation: gen, userId: user_id, deviceId: device_id, expiresAt: exp };
    if (!(await settleVerdict(parts.db, settled))) throw revoked();
    try {
      const outcome = await parts.bucket.writeDocument(key, verdict, AbortSignal.timeout(parts.deadlineMs));
      if (outcome === "written") parts.metrics.published("verdict");
      else if ((await parts.bucket.readDocument(key))?.gone) throw revoked();
      return true;
    } catch (error) {
      if (error instanceof MatrixError) throw error;
      return false;
    }
  }
}

/** The bearer of the shared secret: known without asking anybody. */
const SECRETLY: JudgedIdentity = { userId: SHARED_SECRET_USER, isGuest: false, generation: 0, expiresAt: 0 };

function makeLive(
  domain: { readonly serverName: string; readonly policy: ServingPolicy },
  identity: JudgedIdentity,
  exp: number,
): LiveVerdict {
  return {
    v: 1,
    gen: identity.generation,
    server_name: domain.serverName,
    user_id: identity.userId,
    ...(identity.deviceId === undefined ? {} : { device_id: identity.deviceId }),
    is_guest: identity.isGuest,
    exp,
    policy: domain.policy,
  };
}

function revoked(): MatrixError {
  return new MatrixError("M_UNKNOWN_TOKEN", "Access token was logged out", { extra: { soft_logout: false } });
}
