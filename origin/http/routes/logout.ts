import type { FastifyRequest } from "fastify";
import { MatrixError } from "../../../shared/matrix_error.ts";
import { jsonAnswer } from "../../../shared/respond.ts";
import { hashToken } from "../../pipelines/authenticate/judge_token.ts";
import type { Revoke } from "../../pipelines/authenticate/revoke.ts";
import { type Authenticate, credentialsOf } from "../authenticate.ts";
import type { Route } from "../server.ts";
import type { Tenant } from "../tenant.ts";
import { writeAnswer } from "../write.ts";

/** What the logout routes need. */
export interface LogoutRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly revoke: Revoke;
}

/**
 * `POST /_matrix/client/v3/logout` and `logout/all` (Client-Server API), passed on to the homeserver. When the answer
 * leaves, the token (or every token of the user) is void at both tiers; also where the homeserver no longer knows it.
 *
 * Whether a session may be ended is for the homeserver to say: it lets those out whose account is locked or whose token has
 * expired, who may do nothing else.
 */
export function logoutRoutes(parts: LogoutRouteParts): Route[] {
  return ["r0", "v3"].flatMap((version): Route[] => [
    { action: "logout", methods: ["POST"], path: `/_matrix/client/${version}/logout`, handle: logout(false) },
    { action: "logout_all", methods: ["POST"], path: `/_matrix/client/${version}/logout/all`, handle: logout(true) },
  ]);

  function logout(all: boolean): Route["handle"] {
    return async (request, reply) => {
      const tenant = parts.tenantOf(request);
      const userId = await userIdOf(request, tenant);
      const credentials = credentialsOf(request);
      if (!credentials) throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
      const tokenHash = hashToken(credentials.token);
      try {
        await tenant.logout(credentials, all, request.context.clientAddress);
      } catch (error) {
        if (isRefused(error, 401)) await parts.revoke.token(tokenHash);
        throw error;
      }
      await parts.revoke.token(tokenHash);
      if (all && userId !== undefined) await parts.revoke.user(userId);
      writeAnswer(reply, jsonAnswer({}));
    };
  }

  async function userIdOf(request: FastifyRequest, tenant: Tenant): Promise<string | undefined> {
    try {
      return (await parts.authenticate.user(request, tenant, "user_or_guest")).subject.userId;
    } catch (error) {
      if (isRefused(error, 401) || isRefused(error, 403)) return undefined;
      throw error;
    }
  }
}

function isRefused(error: unknown, status: number): boolean {
  return error instanceof MatrixError && error.status === status;
}
