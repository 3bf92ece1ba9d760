import { MEDIA_PREFIXES, parseMediaQuery } from "../../../../shared/matrix/media_target.ts";
import { parseThumbnailQuery } from "../../../../shared/matrix/thumbnail_size.ts";
import { mayArrive, needsLength } from "../../reply/media.ts";
import { downloadPath, thumbnailPath } from "../../request/paths.ts";
import { type Route, route } from "../../route.ts";
import type { Rooms } from "../rooms.ts";

/**
 * Download and thumbnail, with and without authentication (Client-Server API, "Content repository"): the v1 paths need a
 * token, the legacy ones do not but show frozen media only with one.
 */
export function mediaRoutes({ media }: Rooms): Route[] {
  return [...routesAt("user_or_guest", MEDIA_PREFIXES.authenticated), ...routesAt("optional", MEDIA_PREFIXES.legacy)];

  function routesAt(access: "user_or_guest" | "optional", prefixes: readonly string[]): Route[] {
    const authenticated = access === "user_or_guest";
    return [
      route({
        method: ["GET", "HEAD"],
        path: prefixes.map((prefix) => `${prefix}/download/*`),
        action: "download",
        access,
        limit: "download",
        params: downloadPath,
        query: (query) => parseMediaQuery(query, authenticated),
        async handle({ domain, requester, params, query, request }) {
          const options = {
            subject: requester,
            fetchFor: query.allowRemote ? domain : undefined,
            waitMs: query.waitMs,
            signal: request.signal,
            fileName: params.fileName,
          };
          if (!mayArrive(request)) return { file: await media.download.whole(params.mxc, options) };
          const lengthNeeded = needsLength(request);
          return { file: await media.download.atOnce(params.mxc, { ...options, lengthNeeded }) };
        },
      }),
      route({
        method: ["GET", "HEAD"],
        path: prefixes.map((prefix) => `${prefix}/thumbnail/*`),
        action: "thumbnail",
        access,
        limit: "thumbnail",
        params: thumbnailPath,
        query: (query) => ({ ...parseMediaQuery(query, authenticated), size: parseThumbnailQuery(query) }),
        async handle({ domain, requester, counted, params, query, request }) {
          return {
            file: await media.thumbnail(params.mxc, query.size, {
              subject: requester,
              domain,
              fetchFor: query.allowRemote ? domain : undefined,
              who: counted,
              waitMs: query.waitMs,
              accept: request.header("accept"),
              signal: request.signal,
            }),
          };
        },
      }),
    ];
  }
}
