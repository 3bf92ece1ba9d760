import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { quotaOf } from "../../../access/limits/quota.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the configuration route needs. */
export interface ConfigRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
}

/**
 * `GET …/config` (Client-Server API): the size up to which uploads are taken, and what the user may store in all (MSC4034), in
 * bytes and files; each left out where there is no limit.
 */
export function configRoutes(parts: ConfigRouteParts): Route[] {
  const paths = ["/_matrix/client/v1/media/config", "/_matrix/media/r0/config", "/_matrix/media/v3/config"];
  return paths.map((path) => ({
    action: "config",
    methods: ["GET"],
    path,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      const { maxBytes, reportedMaxBytes } = tenant.domain.uploads;
      const quota = quotaOf(tenant.domain.uploads, subject.userId);
      const limits = {
        "m.upload.size": reportedMaxBytes === 0 ? maxBytes : reportedMaxBytes,
        "m.storage.size": quota.maxBytes,
        "m.storage.max_files": quota.maxFiles,
        "org.matrix.msc4034.storage.size": quota.maxBytes,
        "org.matrix.msc4034.storage.max_files": quota.maxFiles,
      };
      writeAnswer(reply, jsonAnswer(Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit > 0))));
    },
  }));
}
