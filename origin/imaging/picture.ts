import type { ImageFormat } from "../platform/image_types.ts";

/** The words that the server and its decoder processes share: what a header says, what is to be drawn, what was drawn. */

/** What the header of a picture says. Nothing has been decoded to learn it, so the body may still be broken. */
export interface ImageInfo {
  readonly format: ImageFormat;
  /** Pixels, standing upright: the EXIF orientation is applied. */
  readonly width: number;
  readonly height: number;
  /** Pictures of an animation; 1 for a still. What an APNG claims, what a GIF or WebP holds. */
  readonly frames: number;
  readonly animated: boolean;
  /** There is an alpha channel, whether or not anything is transparent. */
  readonly hasAlpha: boolean;
  /** Pixels that the file claims; more than width × height where a GIF has a canvas that its frames don't fill. */
  readonly pixels: number;
  /** The stored pixels are shown as they are. False: they must be rotated upright first, or cut out of a canvas. */
  readonly asStored: boolean;
  /** Cannot be decoded line by line (progressive JPEG, interlaced PNG): the whole picture will be in memory. */
  readonly interlaced: boolean;
  /** Bytes of one channel of one pixel. */
  readonly depthBytes: number;
}

/** The media type of a picture. */
export function mediaTypeOf(info: Pick<ImageInfo, "format" | "animated">): string {
  if (info.format === "png" && info.animated) return "image/apng";
  return info.format === "svg" ? "image/svg+xml" : `image/${info.format}`;
}

/** A picture to be drawn, with every decision taken: what a decoder process is told. */
export interface Picture {
  readonly format: ImageFormat;
  /** Size of the result in pixels; cut at the sides where the aspect ratio differs. */
  readonly width: number;
  readonly height: number;
  /** All frames of an animation; otherwise the still at `frame`. */
  readonly animate: boolean;
  /** Which picture of an animation, from 0. */
  readonly frame: number;
  /** Pixels that may be decoded, at most: of one picture, or of all frames together where `animate`. */
  readonly maxPixels: number;
  /** `auto`: PNG where something is transparent, JPEG otherwise. Animations are WebP anyway. */
  readonly encode: "auto" | "webp";
}

/** What was drawn: the size of one frame in pixels, the media type, and which of the files it was written to. */
export interface Drawn {
  readonly type: "image/jpeg" | "image/png" | "image/webp";
  readonly width: number;
  readonly height: number;
  readonly animated: boolean;
  readonly output: number;
}
