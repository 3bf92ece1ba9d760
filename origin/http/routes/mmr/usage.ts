import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the usage route needs. */
export interface UsageRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  /** What a user keeps here. */
  readonly usageOf: (userId: string) => Promise<{ readonly bytes: number; readonly files: number }>;
}

/** Each path with the prefix of its keys. */
const PATHS = {
  "/_matrix/media/v3/usage": "m.storage",
  "/_matrix/media/unstable/org.matrix.msc4034/usage": "org.matrix.msc4034.storage",
} as const;

/** `GET …/usage` (MSC4034): how many bytes and files the user keeps here, counted as if nothing were deduplicated. */
export function usageRoutes(parts: UsageRouteParts): Route[] {
  return Object.entries(PATHS).map(([path, prefix]) => ({
    action: "usage",
    methods: ["GET"],
    path,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      const { bytes, files } = await parts.usageOf(subject.userId);
      writeAnswer(reply, jsonAnswer({ [`${prefix}.used`]: bytes, [`${prefix}.files`]: files }));
    },
  }));
}
