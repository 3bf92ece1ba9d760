import type { ImageFormat } from "../platform/image_types.ts";

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
  /** The stored pixels are what is to be seen. False: they have to be turned upright, or cut out of a canvas. */
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
