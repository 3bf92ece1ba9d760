import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import type { ClientVersions } from "../../../domains/client_versions.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import { credentialsOf } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the versions route needs. */
export interface VersionsRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly clientVersions: ClientVersions;
}

/**
 * `GET /_matrix/client/versions` (Client-Server API, "API Versions"): what the homeserver says, with what this service brings.
 * A token is passed on to the homeserver, which may say more with one (1.10).
 */
export function versionsRoutes(parts: VersionsRouteParts): Route[] {
  return [
    {
      action: "client_versions",
      methods: ["GET"],
      path: "/_matrix/client/versions",
      async handle(request, reply) {
        const versions = await parts.clientVersions(parts.tenantOf(request), credentialsOf(request), {
          clientAddress: request.context.clientAddress,
        });
        writeAnswer(reply, jsonAnswer(versions));
      },
    },
  ];
}
