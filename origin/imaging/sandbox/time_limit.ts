import type { ImageFormat } from "../../platform/image_types.ts";
import type { ImageInfo } from "../image_info.ts";
import type { Picture } from "../picture.ts";

/**
 * How long one question to a decoder may take, in milliseconds. `cpuMs`: processor time, which does not grow because the machine
 * has other things to do, so that exceeding it is the picture's fault. `wallMs`: by the clock; exceeding only that is not.
 */
export interface TimeLimit {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** What any picture may take, however small: most take a hundredth of it. */
const BASE_MS = 2_000;

/** Times what was measured (see below): for machines that are slower, and files that are harder to read. */
const PATIENCE = 6;

/** No picture takes more, whatever it says of itself. */
const MOST_MS = 20_000;

/** A decoder that gets a quarter of a processor is still waited for. */
const WALL_SHARE = 4;
const WALL_BASE_MS = 2_000;

/** Milliseconds for a megapixel of the source, measured with 12 to 50 megapixels of noise on one core of 3 GHz, and rounded up. */
const DECODING_MS: Readonly<Record<ImageFormat, number>> = {
  jpeg: 25,
  png: 40,
  webp: 30,
  gif: 30,
  avif: 70,
  tiff: 30,
  svg: 30,
};

/** The same for a megapixel of the result. PNG is the slowest, animations are WebP. */
const ENCODING_MS = 150;

/** For a megabyte of the file: a GIF of 100,000 frames, the text of an SVG. */
const READING_MS = 150;

/** For a megabyte of an SVG that is drawn: thousands of curves, whatever the pixels. */
const CURVES_MS = 2_500;

/** For reading the header. Some formats have none, and all of the file is looked through. */
export function inspectingLimit(fileBytes: number): TimeLimit {
  return limitFor((fileBytes / 1e6) * READING_MS);
}

/** For drawing. */
export function drawingLimit(info: ImageInfo, picture: Picture, fileBytes: number): TimeLimit {
  const reading = (fileBytes / 1e6) * (info.format === "svg" ? CURVES_MS : READING_MS);
  // To reach a later frame means to decode all before it.
  const frames = picture.animate ? info.frames : picture.frame + 1;
  const decoding = (info.pixels / 1e6) * frames * DECODING_MS[info.format];
  const encoding = ((picture.width * picture.height) / 1e6) * (picture.animate ? info.frames : 1) * ENCODING_MS;
  return limitFor(reading + decoding + encoding);
}

function limitFor(expectedMs: number): TimeLimit {
  const cpuMs = Math.min(MOST_MS, BASE_MS + expectedMs * PATIENCE);
  return { cpuMs, wallMs: WALL_BASE_MS + cpuMs * WALL_SHARE };
}
