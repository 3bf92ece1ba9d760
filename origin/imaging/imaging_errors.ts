import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { DecoderEnded } from "./sandbox/decoder.ts";

const BUSY = "Cannot make thumbnails at the moment: try again";
const RETRY_MS = 2_000;
/** The machine was too busy for this one: it shall not be asked for it again at once. */
const SLOW_RETRY_MS = 30_000;

/**
 * What is wrong with a picture: it is of a type that may not be decoded, no whole picture, too large, or takes too much time or
 * memory, or crashes decoders. `slow` is what is wrong with the machine: it was too busy to draw this one.
 */
export type PictureTrouble = "type" | "broken" | "pixels" | "time" | "memory" | "crash" | "slow";

/** No thumbnail can be made of this picture, and trying again soon would only cost as much again. */
export class PictureError extends MatrixError {
  readonly trouble: PictureTrouble;

  constructor(trouble: PictureTrouble, ...[errcode, message, options]: ConstructorParameters<typeof MatrixError>) {
    super(errcode, message, options);
    this.trouble = trouble;
  }
}

/** The file is no picture that we decode: something else, encrypted, broken, or made to harm. */
export function notThumbnailable(trouble: Exclude<PictureTrouble, "slow">, cause?: unknown): PictureError {
  return new PictureError(trouble, "M_UNKNOWN", "This media cannot be thumbnailed", { status: 400, cause });
}

/** The picture is of a type that `thumbnails.types` does not list, whatever it says it is. */
export function notAllowed(): PictureError {
  return new PictureError("type", "M_UNKNOWN", "Cannot make thumbnails of this type of media", { status: 400 });
}

/** Too many pictures are waiting. */
export function busy(cause?: unknown): MatrixError {
  const options = { status: 503, retryAfterMs: RETRY_MS, cause };
  return new MatrixError("M_UNKNOWN", BUSY, options);
}

/** What a caller gets for whatever went wrong. What is nobody's fault but ours stays as it is. */
export function toImagingError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof DecoderEnded) return ofDecoder(error);
  const isDeadline = signal.aborted && error === signal.reason && (error as Error | undefined)?.name === "TimeoutError";
  return isDeadline ? busy(error) : error;
}

function ofDecoder(error: DecoderEnded): MatrixError {
  switch (error.end) {
    case "time":
    case "memory":
    case "crash":
      return notThumbnailable(error.end, error);
    case "slow":
      return new PictureError(error.end, "M_UNKNOWN", BUSY, { status: 503, retryAfterMs: SLOW_RETRY_MS, cause: error });
    case "killed":
    case "unfit":
      return busy(error);
    default:
      return error.end satisfies never;
  }
}
