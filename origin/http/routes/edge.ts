import type { FastifyRequest } from "fastify";
import { MatrixError } from "../../../shared/matrix_error.ts";
import { jsonAnswer } from "../../../shared/respond.ts";
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

/** Tells the edge where the verdict lies: `bucket` or `memory`. */
export const VERDICT_SCOPE_HEADER = "mxcdn-verdict-scope";

/** What only our own edge may ask, proven by the signature of the hop; for anybody else these paths do not exist. */
export function edgeRoutes(parts: EdgeRouteParts): Route[] {
  return [
    {
      action: "edge_verdict",
      methods: ["POST"],
      path: "/_mxcdn/v1/verdict",
      async handle(request, reply) {
        const { fromEdge, host, clientAddress } = request.context;
        if (!fromEdge) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request", { status: 404 });
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
