import type { ImageFormat } from "../image_info.ts";
import { gifSource } from "./gif.ts";
import { pngSource } from "./png.ts";
import { makeRasterSource } from "./raster.ts";
import type { Source } from "./source.ts";
import { svgSource } from "./svg.ts";

/** Who reads which format. A new format: a line here, one in `sniff.ts`, and a file beside this one. */
export const SOURCES: Readonly<Record<ImageFormat, Source>> = {
  jpeg: makeRasterSource("jpeg"),
  png: pngSource,
  webp: makeRasterSource("webp"),
  gif: gifSource,
  avif: makeRasterSource("avif"),
  tiff: makeRasterSource("tiff"),
  svg: svgSource,
};
