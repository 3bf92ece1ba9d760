import type { Credentials } from "../shared/access_token.ts";
import { MatrixError } from "../shared/matrix_error.ts";
import type { ServingPolicy } from "../shared/serving_policy.ts";
import type { Judge } from "./auth.ts";
import { credentialsOf, type Visit } from "./visit.ts";

/** Who looks at media: somebody known or not, and by which rules their domain serves (unknown without a token). */
export interface Viewer {
  readonly authenticated: boolean;
  readonly policy: ServingPolicy | undefined;
}

/** Finds out who looks: see {@link makeFindViewer}. */
export type FindViewer = (visit: Visit) => Promise<Viewer>;

const ANONYMOUS: Viewer = { authenticated: false, policy: undefined };

/** Whether the path is of the authenticated API (specification 1.11); every other path of media is legacy. */
function needsToken(visit: Visit): boolean {
  return visit.target.startsWith("/_matrix/client/");
}

/** Throws 401 `M_MISSING_TOKEN` where a token is needed and there is none: nothing need be looked up to say so. */
export function demandToken(visit: Visit): void {
  if (needsToken(visit) && !credentialsOf(visit)) {
    throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
  }
}

/**
 * Who looks, by the rules of the path. Where a token is needed, guests may look too (MSC4189). On the legacy paths no token, a
 * refused one and a guest's are all anonymous; that nobody can judge a token is an error there too.
 *
 * Errors: the refusal of the token.
 */
export function makeFindViewer(judge: Judge): FindViewer {
  return async (visit) => {
    const credentials = credentialsOf(visit);
    if (!credentials) return ANONYMOUS;
    if (!needsToken(visit)) return await legacyViewer(visit, credentials, judge);
    return { authenticated: true, policy: (await judge(visit, credentials)).policy };
  };
}

async function legacyViewer(visit: Visit, credentials: Credentials, judge: Judge): Promise<Viewer> {
  try {
    const { is_guest, policy } = await judge(visit, credentials);
    return { authenticated: !is_guest, policy };
  } catch (thrown) {
    if (thrown instanceof MatrixError && (thrown.status === 401 || thrown.status === 403)) return ANONYMOUS;
    throw thrown;
  }
}
