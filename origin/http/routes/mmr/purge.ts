import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import { isMediaId, type Mxc } from "../../../../shared/matrix/mxc.ts";
import { isServerName } from "../../../../shared/matrix/server_name.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { Purge } from "../../../media/purge.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the deletion route needs. */
export interface PurgeRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly purge: Purge;
}

/** `DELETE /_matrix/media/unstable/download/{serverName}/{mediaId}`: deletes one media (MMR). */
export function purgeRoutes(parts: PurgeRouteParts): Route[] {
  return ["unstable", "unstable/io.t2bot.media"].map((version) => ({
    action: "purge_individual_media",
    methods: ["DELETE"],
    path: `/_matrix/media/${version}/download/:serverName/:mediaId`,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject, credentials } = await parts.authenticate.user(request, tenant, "user");
      const mxc = mxcOf(request);
      const ownServer = mxc.serverName === tenant.serverName;
      await parts.purge(mxc, subject, async () => ownServer && (await tenant.isServerAdmin(credentials)));
      writeAnswer(reply, jsonAnswer({ purged: true }));
    },
  }));
}

/** The media that a path of the form …/:serverName/:mediaId names. Errors: 400 `M_INVALID_PARAM`. */
export function mxcOf(request: FastifyRequest): Mxc {
  const params = request.params as { serverName: string; mediaId: string };
  const serverName = decodeSegment(params.serverName);
  const mediaId = decodeSegment(params.mediaId);
  if (serverName === undefined || !isServerName(serverName)) {
    throw new MatrixError("M_INVALID_PARAM", "Cannot use this server name: it is not valid");
  }
  if (mediaId === undefined || !isMediaId(mediaId)) {
    throw new MatrixError("M_INVALID_PARAM", "Cannot use this media id: it is not valid");
  }
  return { serverName, mediaId };
}

/** The router is kept from decoding (see `server.ts`), so a segment is decoded here, once: it arrives as `%25xx` decoded to `%xx`. */
function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
