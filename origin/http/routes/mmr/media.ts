import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { parseBoolean } from "../../../../shared/matrix/media_target.ts";
import { formatMxc, type Mxc } from "../../../../shared/matrix/mxc.ts";
import type { MediaInfo } from "../../../media/info.ts";
import { mxcPath } from "../../request/paths.ts";
import { type Route, route } from "../../route.ts";
import type { Rooms } from "../rooms.ts";

/** How long media that is not uploaded yet is waited for, in milliseconds. */
const WAIT_MS = 30_000;

/** What matrix-media-repo lets users do with one media, under its unstable names. */
export function mmrMediaRoutes({ media }: Rooms): Route[] {
  return [
    // Deletes it: for who has uploaded it, and for administrators.
    route({
      method: "DELETE",
      path: under("download/:serverName/:mediaId"),
      action: "purge_individual_media",
      access: "user",
      limit: "requests",
      params: mxcPath,
      async handle({ domain, requester, credentials, params: mxc }) {
        const isOurs = mxc.serverName === domain.serverName;
        await media.purge(mxc, requester, async () => isOurs && (await domain.isServerAdmin(credentials)));
        return jsonAnswer({ purged: true });
      },
    }),
    // What it is, and which thumbnails of it are ready.
    route({
      method: "GET",
      path: under("info/:serverName/:mediaId"),
      action: "info",
      access: "user",
      limit: "requests",
      params: mxcPath,
      query: allowRemote,
      async handle({ domain, requester: subject, counted: who, params: mxc, query, request: { signal } }) {
        const fetchFor = query ? domain : undefined;
        return jsonAnswer(
          infoBody(mxc, await media.info(mxc, { subject, domain, who, fetchFor, waitMs: WAIT_MS, signal })),
        );
      },
    }),
    // Copies media of another server to the user's own (deprecated).
    route({
      method: "GET",
      path: under("local_copy/:serverName/:mediaId"),
      action: "local_copy",
      access: "user",
      limit: "requests",
      params: mxcPath,
      query: allowRemote,
      async handle({ domain, requester: subject, params: mxc, query, request: { signal } }) {
        const fetchFor = query ? domain : undefined;
        const copy = await media.localCopy(mxc, { subject, domain, fetchFor, waitMs: WAIT_MS, signal });
        return jsonAnswer({ content_uri: formatMxc(copy) });
      },
    }),
  ];
}

/** The two names that matrix-media-repo has for what is its own. */
function under(path: string): readonly string[] {
  return [`/_matrix/media/unstable/${path}`, `/_matrix/media/unstable/io.t2bot.media/${path}`];
}

function allowRemote(query: URLSearchParams): boolean {
  return parseBoolean(query, ["allow_remote"], true);
}

function infoBody(mxc: Mxc, { contentType, size, sha256, picture, thumbnails }: MediaInfo): Record<string, unknown> {
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
