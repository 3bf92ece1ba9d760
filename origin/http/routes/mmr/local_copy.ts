import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { parseBoolean } from "../../../../shared/matrix/media_query.ts";
import { formatMxc } from "../../../../shared/matrix/mxc.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { LocalCopy } from "../../../media/local_copy.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import { queryOf } from "../../request/request_context.ts";
import type { Route } from "../../server.ts";
import { mxcOf } from "./purge.ts";

/** What the local copy route needs. */
export interface LocalCopyRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly localCopy: LocalCopy;
}

/** How long media that is not uploaded yet is waited for, in milliseconds. */
const WAIT_MS = 30_000;

/** `GET /_matrix/media/unstable/local_copy/{serverName}/{mediaId}` (MMR, deprecated): copies media of another server to the user's own. */
export function localCopyRoutes(parts: LocalCopyRouteParts): Route[] {
  return ["unstable", "unstable/io.t2bot.media"].map((version) => ({
    action: "local_copy",
    methods: ["GET"],
    path: `/_matrix/media/${version}/local_copy/:serverName/:mediaId`,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      const mxc = mxcOf(request);
      const allowRemote = parseBoolean(queryOf(request), ["allow_remote"], true);
      const copy = await parts.localCopy(mxc, {
        subject,
        domain: tenant.domain,
        fetchFor: allowRemote ? tenant.domain : undefined,
        waitMs: WAIT_MS,
        signal: request.context.signal,
      });
      writeAnswer(reply, jsonAnswer({ content_uri: formatMxc(copy) }));
    },
  }));
}
