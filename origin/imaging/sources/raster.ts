import sharp, { type Metadata, type SharpInput, type SharpOptions } from "sharp";
import type { ImageFormat } from "../../platform/image_types.ts";
import type { ImageInfo } from "../picture.ts";
import type { Source } from "./source.ts";

/**
 * Damaged pixels are drawn as far as they go, a file that ends too early is an error: the first is an old photograph with
 * a scratch, the second an upload that broke off and would be kept as half a thumbnail for ever.
 */
const OPTIONS = { failOn: "error", autoOrient: true } as const satisfies SharpOptions;

/** JPEG, PNG, WebP, GIF, AVIF and TIFF: what the library reads by itself. PNG and GIF need a little more than this. */
export function makeRasterSource(format: ImageFormat): Source {
  return {
    inspect: (path) => inspectWithSharp(path, format),
    async still(path, { frame, maxPixels }) {
      const page = frame === 0 ? {} : { page: frame };
      return sharp(path, { ...OPTIONS, ...page, limitInputPixels: maxPixels });
    },
    async animation(path, { width, height, maxPixels }) {
      const frames = sharp(path, { ...OPTIONS, animated: true, limitInputPixels: maxPixels });
      return frames.resize({ width, height, fit: "cover" });
    },
  };
}

/** What the library says of a picture's header. Throws when it is not of this format. */
export async function inspectWithSharp(input: SharpInput, format: ImageFormat): Promise<ImageInfo> {
  const header = await sharp(input, { ...OPTIONS, limitInputPixels: false }).metadata();
  const found = header.format === "heif" && header.compression === "av1" ? "avif" : header.format;
  if (found !== format) throw new Error(`The file is not ${format} but ${found}`);
  const frames = ANIMATED.has(format) ? (header.pages ?? 1) : 1;
  return {
    format,
    ...header.autoOrient,
    frames,
    animated: frames > 1,
    hasAlpha: header.hasAlpha,
    pixels: header.width * header.height,
    asStored: (header.orientation ?? 1) === 1,
    interlaced: header.isProgressive,
    depthBytes: depthBytes(header),
  };
}

/** The pages of other formats are not one picture that moves. */
const ANIMATED: ReadonlySet<ImageFormat> = new Set(["gif", "webp"]);

function depthBytes({ depth }: Metadata): number {
  if (depth === "uchar" || depth === "char") return 1;
  return depth === "ushort" || depth === "short" ? 2 : 4;
}
