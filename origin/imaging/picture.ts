import type { ImageFormat } from "../platform/image_types.ts";

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
