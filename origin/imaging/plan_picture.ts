import { outputSize, type ThumbnailSpec } from "../../shared/matrix/thumbnail_size.ts";
import { PictureError } from "./imaging_errors.ts";
import { type ImageInfo, mediaTypeOf, type Picture } from "./picture.ts";

/** Which thumbnail is wanted. */
export interface PictureRequest {
  readonly spec: ThumbnailSpec;
  /** Which frame stands for an animation: 0 the first, 1 the last. */
  readonly stillFrame: number;
  /** False: a still, whatever the spec says (the source has too many bytes for an animation). */
  readonly allowAnimated: boolean;
}

/** The source is not larger than what was asked for, and may be served as the thumbnail that it is. */
export interface OriginalFits {
  readonly kind: "original_fits";
  readonly type: string;
  readonly width: number;
  readonly height: number;
  readonly animated: boolean;
}

/** What is to be done for a thumbnail. */
export type Plan = OriginalFits | { readonly kind: "draw"; readonly picture: Picture };

/** Client-Server API, `GET …/thumbnail`: the types that an answer may have and that browsers show by themselves. */
const SERVABLE_TYPES = new Set(["image/jpeg", "image/png", "image/apng", "image/gif", "image/webp"]);

/** An animation of more is shown as a still. A minute at 15 pictures a second. */
const MAX_FRAMES = 900;

/** Frames of an animation together may have so many times the pixels of one picture. */
const ANIMATION_SHARE = 2;

/** WebP has 14 bits for a side. */
const MAX_WEBP_SIDE = 16_383;

/**
 * Decides what to draw from the header alone. Throws a {@link PictureError} of kind `too_large` for a picture of more than
 * `maxPixels` pixels: such a file may be small, and never is decoded.
 */
export function planPicture(info: ImageInfo, wanted: PictureRequest, maxPixels: number): Plan {
  if (info.pixels > maxPixels) {
    throw new PictureError("pixels", {
      message: `Cannot make thumbnails of pictures with more than ${maxPixels} pixels`,
    });
  }
  const size = outputSize(wanted.spec, info);
  const wantsAnimation = info.animated && wanted.spec.animated && wanted.allowAnimated;
  const isWhole = size.width === info.width && size.height === info.height;
  if (isWhole && info.asStored && info.animated === wantsAnimation && SERVABLE_TYPES.has(mediaTypeOf(info))) {
    return { kind: "original_fits", type: mediaTypeOf(info), ...size, animated: info.animated };
  }
  const fitsWebp = Math.max(size.width, size.height) <= MAX_WEBP_SIDE;
  const animate = wantsAnimation && fitsWebp && !isLong(info, maxPixels);
  const frame = animate || isLong(info, maxPixels) ? 0 : stillFrame(info, wanted.stillFrame);
  const encode = fitsWebp ? wanted.spec.format : "auto";
  const pixels = animate ? maxPixels * ANIMATION_SHARE : maxPixels;
  return { kind: "draw", picture: { format: info.format, ...size, animate, frame, encode, maxPixels: pixels } };
}

/** Also reaching a later frame means decoding all before it. */
function isLong({ frames, width, height }: ImageInfo, maxPixels: number): boolean {
  return frames > MAX_FRAMES || frames * width * height > maxPixels * ANIMATION_SHARE;
}

function stillFrame({ frames }: ImageInfo, share: number): number {
  return Math.min(frames - 1, Math.floor(Math.min(1, Math.max(0, share)) * frames));
}
