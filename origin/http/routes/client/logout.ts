import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import type { LogoutRequest, Logouts } from "../../../access/tokens/logout.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import { type Authenticate, credentialsOf } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the logout routes need. */
export interface LogoutRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly logouts: Logouts;
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
      const { clientAddress } = request.context;
      const tenant = parts.tenantOf(request);
      const whose = await askWhose(request, tenant);
      const credentials = credentialsOf(request);
      if (!credentials) throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
      await parts.logouts.logout({
        ...{ serverName: tenant.serverName, credentials, all, whose, clientAddress },
        endSessions: () => tenant.logout(credentials, all, clientAddress),
      });
      writeAnswer(reply, jsonAnswer({}));
    };
  }

  async function askWhose(request: FastifyRequest, tenant: Tenant): Promise<LogoutRequest["whose"]> {
    try {
      return { userId: (await parts.authenticate.user(request, tenant, "user_or_guest")).subject.userId };
    } catch (error) {
      if (error instanceof MatrixError && (error.status === 401 || error.status === 403)) return { refusal: error };
      throw error;
    }
  }
}
