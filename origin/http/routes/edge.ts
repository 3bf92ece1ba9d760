import type { FastifyRequest } from "fastify";
import { HOP_PATHS } from "../../../shared/hop_paths.ts";
import { MatrixError } from "../../../shared/matrix_error.ts";
import { jsonAnswer } from "../../../shared/respond.ts";
import { VERDICT_SCOPE_HEADER } from "../../../shared/verdict.ts";
import type { GiveVerdict } from "../../pipelines/authenticate/verdict.ts";
import { credentialsOf } from "../authenticate.ts";
import type { Route } from "../server.ts";
import type { Tenant } from "../tenant.ts";
import { writeAnswer } from "../write.ts";

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
