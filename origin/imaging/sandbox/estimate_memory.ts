import type { ImageFormat } from "../../platform/image_types.ts";
import type { ImageInfo } from "../image_info.ts";
import type { Picture } from "../picture.ts";

/** Resident bytes of a decoder process that decodes nothing. */
const PROCESS_BYTES = 90_000_000;

/**
 * Bytes per pixel of the source at the peak, for channels of one byte; all measured with 12 and 30 megapixels, rounded up.
 * JPEG, PNG and TIFF are read line by line, and JPEG is made smaller while it is read; AVIF keeps everything several times.
 */
const DECODING: Readonly<Record<ImageFormat, number>> = { jpeg: 1, png: 3, webp: 5, gif: 6, avif: 20, tiff: 3, svg: 8 };

/** The same for what cannot be read line by line: progressive JPEG, interlaced PNG. */
const DECODING_WHOLE = 7;

/** Bytes per pixel of the result: its raw pixels, turned upright, and what the encoder keeps. */
const ENCODING = 10;

/** Bytes per pixel of the frames of an animated result together. */
const ENCODING_FRAMES = 5;

/** The resident bytes that a decoder process is likely to reach when it draws this picture: for turns, not for limits. */
export function estimateMemory(info: ImageInfo, picture: Picture): number {
  const perPixel = info.interlaced ? Math.max(DECODING_WHOLE, DECODING[info.format]) : DECODING[info.format];
  const decoding = info.width * info.height * perPixel * info.depthBytes;
  const pixels = picture.width * picture.height;
  const encoding = picture.animate ? pixels * info.frames * ENCODING_FRAMES : pixels * ENCODING;
  return PROCESS_BYTES + decoding + encoding;
}
