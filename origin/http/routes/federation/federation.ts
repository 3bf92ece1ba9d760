import { randomBytes } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { formatBoundary } from "../../../../shared/http/federation_answer.ts";
import { FEDERATION_PREFIXES, parseFederationTarget } from "../../../../shared/matrix/federation_path.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import { parseMediaQuery } from "../../../../shared/matrix/media_query.ts";
import { parseThumbnailQuery } from "../../../../shared/matrix/thumbnail_size.ts";
import type { Limits } from "../../../access/limits/limits.ts";
import type { Download } from "../../../media/download/download.ts";
import type { Served } from "../../../media/download/servable.ts";
import type { OpenShared } from "../../../media/download/shared_read.ts";
import type { FindOrMakeThumbnail } from "../../../media/thumbnail/thumbnail.ts";
import type { PublishKey } from "../../../publish/publish_key.ts";
import type { AuthenticatedServer, AuthenticateServer } from "../../authenticate_server.ts";
import { replyMultipart } from "../../reply/reply_multipart.ts";
import { queryOf } from "../../request/request_context.ts";
import type { Route } from "../../server.ts";

/** What the federation routes need. */
export interface FederationRouteParts {
  readonly authenticateServer: AuthenticateServer;
  readonly download: Pick<Download, "whole">;
  readonly thumbnail: FindOrMakeThumbnail;
  readonly openShared: OpenShared;
  readonly limits: Pick<Limits, "chargeDownload">;
  /** Absent where there is no edge. */
  readonly publishKey: PublishKey | undefined;
}

/**
 * Media for other servers (Server-Server API, "Content Repository"): that of the server they address, whether frozen or not,
 * and of no other, be it cached here or not. Ranges and conditions mean nothing here; errors are plain Matrix errors.
 */
export function federationRoutes(parts: FederationRouteParts): Route[] {
  return FEDERATION_PREFIXES.flatMap((prefix): Route[] => [
    { action: "download", methods: ["GET"], path: `${prefix}/download/:mediaId`, handle },
    { action: "thumbnail", methods: ["GET"], path: `${prefix}/thumbnail/:mediaId`, handle },
  ]);

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const server = await parts.authenticateServer(request);
    const { fromEdge } = request.context;
    // Whatever comes of this request: the edge is to judge the next one of this server by itself.
    if (fromEdge) void parts.publishKey?.(server.keys, server.tenant.domain);
    const served = await find(request, server);
    if (fromEdge) void served.publish?.();
    return await replyMultipart(request, reply, served.servable, {
      boundary: formatBoundary(randomBytes(16)),
      open: parts.openShared,
      charge: (bytes) => parts.limits.chargeDownload({ kind: "server", serverName: server.serverName }, bytes),
    });
  }

  async function find(request: FastifyRequest, { serverName, tenant }: AuthenticatedServer): Promise<Served> {
    const route = parseFederationTarget(request.context.target);
    if (!route) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request", { status: 404 });
    const query = queryOf(request);
    const { waitMs } = parseMediaQuery(query, true);
    const mxc = { serverName: tenant.serverName, mediaId: route.mediaId };
    const access = { subject: { kind: "server", serverName }, waitMs, signal: request.context.signal } as const;
    return route.kind === "download"
      ? await parts.download.whole(mxc, { ...access, fileName: undefined })
      : await parts.thumbnail(mxc, parseThumbnailQuery(query), {
          ...access,
          domain: tenant.domain,
          who: { kind: "server", serverName },
        });
  }
}
