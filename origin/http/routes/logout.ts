import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../shared/respond.ts";
import { hashToken } from "../../pipelines/authenticate/judge_token.ts";
import type { Revoke } from "../../pipelines/authenticate/revoke.ts";
import type { Authenticate } from "../authenticate.ts";
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
 * leaves, the token (or every token of the user) is void at both tiers.
 */
export function logoutRoutes(parts: LogoutRouteParts): Route[] {
  return ["r0", "v3"].flatMap((version): Route[] => [
    { action: "logout", methods: ["POST"], path: `/_matrix/client/${version}/logout`, handle: logout(false) },
    { action: "logout_all", methods: ["POST"], path: `/_matrix/client/${version}/logout/all`, handle: logout(true) },
  ]);

  function logout(all: boolean): Route["handle"] {
    return async (request, reply) => {
      const tenant = parts.tenantOf(request);
      const { subject, credentials } = await parts.authenticate.user(request, tenant, "user_or_guest");
      await tenant.logout(credentials, all, request.context.clientAddress);
      await parts.revoke.token(hashToken(credentials.token));
      if (all) await parts.revoke.user(subject.userId);
      writeAnswer(reply, jsonAnswer({}));
    };
  }
}
