import type { FastifyReply, FastifyRequest } from "fastify";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import { type MediaRoute, parseMediaTarget } from "../../../../shared/matrix/media_path.ts";
import { parseMediaQuery } from "../../../../shared/matrix/media_query.ts";
import { parseThumbnailQuery } from "../../../../shared/matrix/thumbnail_size.ts";
import type { Limits } from "../../../access/limits/limits.ts";
import type { Subject } from "../../../access/subject.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { Download } from "../../../media/download/download.ts";
import type { MediaAccess } from "../../../media/download/find_servable.ts";
import type { FindOrMakeThumbnail } from "../../../media/thumbnail/thumbnail.ts";
import type { Authenticate } from "../../authenticate.ts";
import { countedAs } from "../../limit.ts";
import { mayArrive, needsLength, replyArriving } from "../../reply/reply_arriving.ts";
import { replyMedia } from "../../reply/reply_media.ts";
import { headerOf, queryOf } from "../../request/request_context.ts";
import type { Route } from "../../server.ts";

/** What the media routes need. */
export interface MediaRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly download: Download;
  readonly thumbnail: FindOrMakeThumbnail;
  readonly limits: Pick<Limits, "chargeDownload">;
}

type DownloadRoute = Extract<MediaRoute, { kind: "download" }>;

const LEGACY_VERSIONS = ["r0", "v1", "v3"] as const;

/**
 * Download and thumbnail, with and without authentication (Client-Server API, "Content repository"): the v1 paths need a
 * token, the legacy ones do not but show frozen media only with one.
 */
export function mediaRoutes(parts: MediaRouteParts): Route[] {
  const prefixes = ["/_matrix/client/v1/media", ...LEGACY_VERSIONS.map((version) => `/_matrix/media/${version}`)];
  return prefixes.flatMap((prefix): Route[] => [
    { action: "download", methods: ["GET", "HEAD"], path: `${prefix}/download/*`, handle },
    { action: "thumbnail", methods: ["GET", "HEAD"], path: `${prefix}/thumbnail/*`, handle },
  ]);

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const tenant = parts.tenantOf(request);
    // Authentication comes before the path and the query are judged: without a token it is 401, whatever else is wrong.
    const subject = await subjectFor(request, tenant);
    const route = parseMediaTarget(request.context.target);
    if (!route) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request", { status: 404 });
    const query = queryOf(request);
    const { waitMs, allowRemote } = parseMediaQuery(query, route.authenticated);
    const { domain } = tenant;
    const access = { subject, fetchFor: allowRemote ? domain : undefined, waitMs, signal: request.context.signal };
    const served =
      route.kind === "download"
        ? await download(request, route, access)
        : await parts.thumbnail(route.mxc, parseThumbnailQuery(query), {
            ...access,
            domain,
            who: countedAs(request, subject),
            accept: headerOf(request, "accept"),
          });
    // The answer does not wait for it: the edge finds it when it is there.
    if (request.context.fromEdge) void served.publish?.();
    const charge = (bytes: number) => parts.limits.chargeDownload(countedAs(request, subject), bytes);
    if ("bytes" in served) return await replyArriving(reply, served, { charge });
    const { openRangeMaxBytes } = domain.policy;
    return await replyMedia(request, reply, served.servable, { openRangeMaxBytes, charge });
  }

  async function download(request: FastifyRequest, { mxc, fileName }: DownloadRoute, access: MediaAccess) {
    const options = { ...access, fileName };
    if (!mayArrive(request)) return await parts.download.whole(mxc, options);
    return await parts.download.atOnce(mxc, { ...options, lengthNeeded: needsLength(request) });
  }

  async function subjectFor(request: FastifyRequest, tenant: Tenant): Promise<Subject> {
    if (!request.context.target.startsWith("/_matrix/client/"))
      return await parts.authenticate.optional(request, tenant);
    return (await parts.authenticate.user(request, tenant, "user_or_guest")).subject;
  }
}
