import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { formatMxc } from "../../../../shared/matrix/mxc.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { CreateUpload } from "../../../media/upload/create.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import { jsonObjectOf } from "../../request/json_body.ts";
import type { Route } from "../../server.ts";

/** What the create route needs. `bodyIdleMs`: how long a body may stand still, in milliseconds. */
export interface CreateRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly create: CreateUpload;
  readonly bodyIdleMs: number;
}

const PATHS = ["/_matrix/media/v1/create", "/_matrix/media/unstable/fi.mau.msc2246/create"];

/**
 * `POST /_matrix/media/v1/create` (Client-Server API; MSC2246, its unstable name too): reserves an id for a later upload. The
 * body means nothing yet: it may be absent or empty, and the keys of an object are ignored.
 */
export function createRoutes(parts: CreateRouteParts): Route[] {
  return PATHS.map((path) => ({
    action: "create",
    methods: ["POST"],
    path,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      await jsonObjectOf(request, parts.bodyIdleMs);
      const { mxc, expiresAt } = await parts.create(tenant.domain, subject.userId);
      writeAnswer(reply, jsonAnswer({ content_uri: formatMxc(mxc), unused_expires_at: expiresAt }));
    },
  }));
}
