import type { Sharp } from "sharp";
import type { ImageInfo } from "../picture.ts";

/** Which still is wanted. */
export interface StillRequest {
  /** Of an animation, from 0. */
  readonly frame: number;
  /** Pixels of one picture, at most; more is an error. */
  readonly maxPixels: number;
}

/** How an animation is wanted. */
export interface AnimationRequest {
  /** Size of the frames, pixels; cut at the sides where the aspect ratio differs. */
  readonly width: number;
  readonly height: number;
  /** Pixels of all frames together, at most; more is an error. */
  readonly maxPixels: number;
}

/**
 * One way to get at the pixels of a file. A format that the library cannot read by itself is one more file in this folder:
 * it answers with raw pixels in a `sharp()`, and everything after that (size, colours, encoding) is done already.
 * Whatever a source throws means that the file is not a whole picture of its format.
 */
export interface Source {
  /** Reads the header, and no more than it must of the rest. No limit on pixels: that is what it is asked for. */
  inspect(path: string): Promise<ImageInfo>;
  /** The pixels of one picture, standing upright, of the size that `inspect` said. */
  still(path: string, request: StillRequest): Promise<Sharp>;
  /**
   * All frames below one another with their timing, at the size that was asked for. Absent: the format has no animations;
   * `undefined`: this file is a still.
   */
  animation?(path: string, request: AnimationRequest): Promise<Sharp | undefined>;
}
