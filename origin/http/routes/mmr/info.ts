import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { parseBoolean } from "../../../../shared/matrix/media_query.ts";
import { formatMxc, type Mxc } from "../../../../shared/matrix/mxc.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { Info, MediaInfo } from "../../../media/info.ts";
import type { Authenticate } from "../../authenticate.ts";
import { countedAs } from "../../limit.ts";
import { writeAnswer } from "../../reply/write.ts";
import { queryOf } from "../../request/request_context.ts";
import type { Route } from "../../server.ts";
import { mxcOf } from "./purge.ts";

/** What the info route needs. */
export interface InfoRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly info: Info;
}

/** How long media that is not uploaded yet is waited for, in milliseconds. */
const WAIT_MS = 30_000;

/** `GET /_matrix/media/unstable/info/{serverName}/{mediaId}` (MMR): what a media is, and which thumbnails of it are ready. */
export function infoRoutes(parts: InfoRouteParts): Route[] {
  return ["unstable", "unstable/io.t2bot.media"].map((version) => ({
    action: "info",
    methods: ["GET"],
    path: `/_matrix/media/${version}/info/:serverName/:mediaId`,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      const mxc = mxcOf(request);
      const allowRemote = parseBoolean(queryOf(request), ["allow_remote"], true);
      const info = await parts.info(mxc, {
        subject,
        domain: tenant.domain,
        who: countedAs(request, subject),
        fetchFor: allowRemote ? tenant.domain : undefined,
        waitMs: WAIT_MS,
        signal: request.context.signal,
      });
      writeAnswer(reply, jsonAnswer(bodyFor(mxc, info)));
    },
  }));
}

function bodyFor(mxc: Mxc, { contentType, size, sha256, picture, thumbnails }: MediaInfo): Record<string, unknown> {
  return {
    content_uri: formatMxc(mxc),
    content_type: contentType,
    size,
    hashes: { sha256 },
    ...(picture ? { width: picture.width, height: picture.height } : {}),
    thumbnails: thumbnails.map((thumbnail) => ({
      width: thumbnail.width,
      height: thumbnail.height,
      ready: true,
      content_type: thumbnail.contentType,
      size: thumbnail.size,
    })),
  };
}
