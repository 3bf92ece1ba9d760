import type { Credentials } from "../../shared/matrix/access_token.ts";
import { isForbidden, isUnauthenticated, MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import type { LiveVerdict } from "../../shared/tiers/verdict.ts";
import type { EdgeRequest } from "../request.ts";
import type { Domains } from "./domain.ts";
import type { Tokens } from "./token.ts";

/** Who asks for media, known or anonymous, and by which rules media is served at the host they ask. */
export interface Requester {
  readonly authenticated: boolean;
  readonly policy: ServingPolicy;
}

/** What says who asks. */
export interface Identities {
  readonly tokens: Pick<Tokens, "judge">;
  readonly domains: Pick<Domains, "find">;
}

/** Whether the path is of the authenticated API (specification 1.11); every other path of media is legacy. */
function needsToken({ target }: EdgeRequest): boolean {
  return target.startsWith("/_matrix/client/");
}

/** Whether a token is needed and no possibly valid one is brought: then no media need be looked up. */
export function lacksToken(request: EdgeRequest): boolean {
  if (!needsToken(request)) return false;
  try {
    return request.credentials() === undefined;
  } catch {
    return true;
  }
}

/**
 * Who asks, by the rules of the path. Where a token is needed, guests may ask too (MSC4189). On the legacy paths no token, a
 * refused one and a guest's are all anonymous; that a token cannot be judged is an error there too.
 *
 * Errors, in this order as at the origin: 404 for a host that nobody serves; 401 where a token is needed and there is none
 * (`M_MISSING_TOKEN`), or an impossible one (`M_UNKNOWN_TOKEN`); the refusal of the token.
 */
export async function findRequester(request: EdgeRequest, identities: Identities): Promise<Requester> {
  const strict = needsToken(request);
  const judging = findVerdict(request, identities);
  const verdict = await (strict ? judging : unlessRefused(judging));
  if (!verdict) return { authenticated: false, policy: (await identities.domains.find(request)).policy };
  return { authenticated: strict || !verdict.is_guest, policy: verdict.policy };
}

async function findVerdict(request: EdgeRequest, { tokens, domains }: Identities): Promise<LiveVerdict | undefined> {
  let credentials: Credentials | undefined;
  try {
    credentials = request.credentials();
    if (!credentials && needsToken(request)) {
      throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
    }
  } catch (refusal) {
    // What is wrong with a token is said only at a host that is served. A verdict says by itself that a host is not.
    await domains.find(request);
    throw refusal;
  }
  return credentials && (await tokens.judge(request, credentials));
}

async function unlessRefused(judging: Promise<LiveVerdict | undefined>): Promise<LiveVerdict | undefined> {
  try {
    return await judging;
  } catch (thrown) {
    if (isUnauthenticated(thrown) || isForbidden(thrown)) return undefined;
    throw thrown;
  }
}
