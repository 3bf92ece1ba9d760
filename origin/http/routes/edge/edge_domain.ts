import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { HOP_PATHS } from "../../../../shared/tiers/hop_paths.ts";
import type { ServedDomain } from "../../../../shared/tiers/served_domain.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the route needs. */
export interface EdgeDomainRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
}

/**
 * What the edge asks before it answers somebody without a token: whose the host is, and how media is served there. The refusal
 * of a host that nobody serves is the one that a client gets.
 */
export function edgeDomainRoutes({ tenantOf }: EdgeDomainRouteParts): Route[] {
  return [
    {
      action: "edge_domain",
      methods: ["GET"],
      path: HOP_PATHS.domain,
      async handle(request, reply) {
        const { domain } = tenantOf(request);
        const served: ServedDomain = { v: 1, server_name: domain.serverName, policy: domain.policy };
        const answer = jsonAnswer(served);
        answer.headers["cache-control"] = "no-store";
        writeAnswer(reply, answer);
      },
    },
  ];
}
