import type { Credentials } from "../../shared/matrix/access_token.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import type { LiveVerdict } from "../../shared/tiers/verdict.ts";
import { credentialsOf, type Visit } from "../visit.ts";
import type { Judge } from "./auth.ts";
import type { FindDomain } from "./domain.ts";

/** Who looks at media: somebody known or not, and by which rules media is served at the host they ask. */
export interface Viewer {
  readonly authenticated: boolean;
  readonly policy: ServingPolicy;
}

/** Finds out who looks: see {@link makeFindViewer}. */
export type FindViewer = (visit: Visit) => Promise<Viewer>;

/** What {@link makeFindViewer} needs. */
export interface FindViewerParts {
  readonly judge: Judge;
  readonly findDomain: FindDomain;
}

/** Whether the path is of the authenticated API (specification 1.11); every other path of media is legacy. */
function needsToken(visit: Visit): boolean {
  return visit.target.startsWith("/_matrix/client/");
}

/** Whether a token is needed and none is brought that could be good: then no media need be looked up. */
export function isRefusedUnseen(visit: Visit): boolean {
  if (!needsToken(visit)) return false;
  try {
    return credentialsOf(visit) === undefined;
  } catch {
    return true;
  }
}

/**
 * Who looks, by the rules of the path. Where a token is needed, guests may look too (MSC4189). On the legacy paths no token, a
 * refused one and a guest's are all anonymous; that nobody can judge a token is an error there too.
 *
 * Errors, in this order as at the origin: 404 for a host that nobody serves; 401 where a token is needed and there is none
 * (`M_MISSING_TOKEN`), or none that anybody can have (`M_UNKNOWN_TOKEN`); the refusal of the token.
 */
export function makeFindViewer({ judge, findDomain }: FindViewerParts): FindViewer {
  async function verdictOf(visit: Visit): Promise<LiveVerdict | undefined> {
    const credentials = await tokenOf(visit);
    return credentials && (await judge(visit, credentials));
  }

  /** What is wrong with it is said only at a host that somebody serves. A verdict says by itself that nobody does. */
  async function tokenOf(visit: Visit): Promise<Credentials | undefined> {
    try {
      return demandToken(visit);
    } catch (refusal) {
      await findDomain(visit);
      throw refusal;
    }
  }

  return async (visit) => {
    const strict = needsToken(visit);
    const verdict = await (strict ? verdictOf(visit) : unlessRefused(verdictOf(visit)));
    if (!verdict) return { authenticated: false, policy: (await findDomain(visit)).policy };
    return { authenticated: strict || !verdict.is_guest, policy: verdict.policy };
  };
}

function demandToken(visit: Visit): Credentials | undefined {
  const credentials = credentialsOf(visit);
  if (credentials || !needsToken(visit)) return credentials;
  throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
}

async function unlessRefused(judging: Promise<LiveVerdict | undefined>): Promise<LiveVerdict | undefined> {
  try {
    return await judging;
  } catch (thrown) {
    if (thrown instanceof MatrixError && (thrown.status === 401 || thrown.status === 403)) return undefined;
    throw thrown;
  }
}
