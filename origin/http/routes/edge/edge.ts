import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import { HOP_PATHS } from "../../../../shared/tiers/hop_paths.ts";
import { VERDICT_SCOPE_HEADER } from "../../../../shared/tiers/verdict.ts";
import type { GiveVerdict } from "../../../access/tokens/verdict.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import { credentialsOf } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the routes of the edge need. */
export interface EdgeRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly giveVerdict: GiveVerdict;
}

/** What the edge asks for a token that it does not know. */
export function edgeRoutes(parts: EdgeRouteParts): Route[] {
  return [
    {
      action: "edge_verdict",
      methods: ["POST"],
      path: HOP_PATHS.verdict,
      async handle(request, reply) {
        const { host, clientAddress } = request.context;
        const tenant = parts.tenantOf(request);
        const credentials = credentialsOf(request);
        if (!credentials) throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
        const { verdict, scope } = await parts.giveVerdict({ ...tenant, policy: tenant.domain.policy }, credentials, {
          host: host ?? "",
          clientAddress,
        });
        const answer = jsonAnswer(verdict);
        Object.assign(answer.headers, { [VERDICT_SCOPE_HEADER]: scope, "cache-control": "no-store" });
        writeAnswer(reply, answer);
      },
    },
  ];
}
