import { contentDisposition } from "../../../../shared/http/content_headers.ts";
import { COMMON_HEADERS } from "../../../../shared/http/respond.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import { requireSegment } from "../../../../shared/matrix/media_target.ts";
import { Imager } from "../../../imaging/imager.ts";
import { type PathOf, type Route, route } from "../../route.ts";

const VERSIONS = ["r0", "v1", "v3", "unstable", "unstable/io.t2bot.media"];
const SIDES = { usual: 96, min: 96, max: 512 };
const TYPE = "image/png";
/** Seven days: the picture of a seed never changes. */
const MAX_AGE_S = 604_800;

/**
 * `GET /_matrix/media/r0/identicon/{seed}` (MMR): a picture made of a text, the same for everybody. The seed is what follows
 * `identicon/`, slashes within it included, percent-decoded once and without the slash before it (as in MMR 1.2 and its
 * documentation; MMR 1.3 let that slash slip in). `width` and `height` are pixels; one alone sets both.
 */
export function identiconRoutes(): Route[] {
  return [
    route({
      method: "GET",
      path: VERSIONS.map((version) => `/_matrix/media/${version}/identicon/*`),
      action: "identicon",
      access: "none",
      limit: "requests",
      params: ({ segments }: PathOf) => segments["*"] ?? "",
      handle({ domain, params: seed, request: { query } }) {
        if (!domain.identicons) throw new MatrixError("M_NOT_FOUND", "Identicons are switched off");
        const width = sideOf(query, "width") ?? sideOf(query, "height") ?? SIDES.usual;
        const height = sideOf(query, "height") ?? width;
        return {
          status: 200,
          headers: {
            ...COMMON_HEADERS,
            "content-type": TYPE,
            "content-disposition": contentDisposition(TYPE, "identicon.png"),
            "cache-control": `public, max-age=${MAX_AGE_S}`,
          },
          bytes: Imager.identicon(requireSegment(seed), { width, height }),
        };
      },
    }),
  ];
}

/** Pixels, brought within what is drawn. Errors: 400 `M_INVALID_PARAM` for what is no whole number. */
function sideOf(query: URLSearchParams, name: "width" | "height"): number | undefined {
  const text = query.get(name);
  if (!text) return undefined;
  if (!/^-?[0-9]+$/.test(text)) throw new MatrixError("M_INVALID_PARAM", `${name} must be a whole number of pixels`);
  return Math.min(Math.max(Number(text), SIDES.min), SIDES.max);
}
