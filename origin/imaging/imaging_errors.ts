import { Failure, type FailureKind } from "../../shared/matrix/failure.ts";
import { DecoderEnded } from "./sandbox/decoder.ts";

const BUSY = "Cannot make thumbnails at the moment: try again";
const UNREADABLE = "This media cannot be thumbnailed";
/** The machine was too busy for this one: it should not be asked for it again at once. */
const SLOW_RETRY_MS = 30_000;

/**
 * What is wrong with a picture: its type may not be decoded, it is damaged, has too many pixels, takes too much time or memory,
 * or crashes decoders. `slow` is what is wrong with the machine: it was too busy to draw this one.
 */
export type PictureTrouble = "type" | "broken" | "pixels" | "time" | "memory" | "crash" | "slow";

const FAILURES: Readonly<Record<PictureTrouble, readonly [kind: FailureKind, message: string, retryAfterMs?: number]>> =
  {
    type: ["unreadable", "Cannot make thumbnails of this type of media"],
    broken: ["unreadable", UNREADABLE],
    pixels: ["too_large", "Cannot make thumbnails of pictures with so many pixels"],
    time: ["unreadable", UNREADABLE],
    memory: ["unreadable", UNREADABLE],
    crash: ["unreadable", UNREADABLE],
    slow: ["busy", BUSY, SLOW_RETRY_MS],
  };

/** No thumbnail can be made of this picture, and trying again soon would only cost as much again. */
export class PictureError extends Failure {
  readonly trouble: PictureTrouble;

  /** `message` replaces the usual one, and reaches the client; `cause` is for the log. */
  constructor(trouble: PictureTrouble, options: { readonly message?: string; readonly cause?: unknown } = {}) {
    const [kind, message, retryAfterMs] = FAILURES[trouble];
    super(kind, options.message ?? message, { cause: options.cause, retryAfterMs });
    this.name = "PictureError";
    this.trouble = trouble;
  }
}

/** Too many pictures are waiting, or no decoder can be had: it says nothing of the picture. */
export function busy(cause?: unknown): Failure {
  return new Failure("busy", BUSY, { cause });
}

/** What a caller gets for what was thrown while a decoder worked. Failures of our own stay as they are. */
export function toImagingError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof DecoderEnded) return ofDecoder(error);
  const isDeadline = signal.aborted && error === signal.reason && (error as Error | undefined)?.name === "TimeoutError";
  return isDeadline ? busy(error) : error;
}

function ofDecoder(error: DecoderEnded): Failure {
  switch (error.end) {
    case "time":
    case "memory":
    case "crash":
    case "slow":
      return new PictureError(error.end, { cause: error });
    case "killed":
    case "unfit":
      return busy(error);
    default:
      return error.end satisfies never;
  }
}
