import type { ImageFormat } from "../../platform/image_types.ts";
import { pngSource } from "./apng/png.ts";
import { gifSource } from "./gif.ts";
import { makeRasterSource } from "./raster.ts";
import type { Source } from "./source.ts";
import { svgSource } from "./svg.ts";

/** Who reads which format. A new one is named in `origin/platform/image_types.ts`, known by `sniff.ts`, weighed by `limits.ts`, and read by a file in this folder. */
export const SOURCES: Readonly<Record<ImageFormat, Source>> = {
  jpeg: makeRasterSource("jpeg"),
  png: pngSource,
  webp: makeRasterSource("webp"),
  gif: gifSource,
  avif: makeRasterSource("avif"),
  tiff: makeRasterSource("tiff"),
  svg: svgSource,
};
