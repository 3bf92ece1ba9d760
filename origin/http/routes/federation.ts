import { FEDERATION_PREFIXES, parseMediaQuery } from "../../../shared/matrix/media_target.ts";
import { parseThumbnailQuery } from "../../../shared/matrix/thumbnail_size.ts";
import { federationPath } from "../request/paths.ts";
import { type Route, route } from "../route.ts";
import type { Rooms } from "./rooms.ts";

/**
 * Media for other servers (Server-Server API, "Content Repository"): that of the server they address, whether frozen or not,
 * and of no other, be it cached here or not. Ranges and conditions mean nothing here; errors are plain Matrix errors.
 */
export function federationRoutes({ media }: Rooms): Route[] {
  return [
    route({
      method: "GET",
      path: FEDERATION_PREFIXES.map((prefix) => `${prefix}/download/:mediaId`),
      action: "download",
      access: "server",
      limit: "download",
      params: federationPath,
      query: (query) => parseMediaQuery(query, true),
      async handle({ domain: { serverName }, server, params: { mediaId }, query: { waitMs }, request: { signal } }) {
        const subject = { kind: "server", serverName: server.serverName } as const;
        const options = { subject, waitMs, signal, fileName: undefined };
        return { multipart: await media.download.whole({ serverName, mediaId }, options) };
      },
    }),
    route({
      method: "GET",
      path: FEDERATION_PREFIXES.map((prefix) => `${prefix}/thumbnail/:mediaId`),
      action: "thumbnail",
      access: "server",
      limit: "thumbnail",
      params: federationPath,
      query: (query) => ({ ...parseMediaQuery(query, true), size: parseThumbnailQuery(query) }),
      async handle({ domain, server, counted, params: { mediaId }, query, request: { signal } }) {
        const subject = { kind: "server", serverName: server.serverName } as const;
        const options = { subject, domain, who: counted, waitMs: query.waitMs, signal };
        return { multipart: await media.thumbnail({ serverName: domain.serverName, mediaId }, query.size, options) };
      },
    }),
  ];
}
