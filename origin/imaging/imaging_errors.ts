import { MatrixError } from "../../shared/matrix_error.ts";
import { DecoderEnded } from "./decoder.ts";

const RETRY_MS = 2_000;

/** The file is no picture that we decode: something else, encrypted, broken, or made to harm. */
export function notThumbnailable(cause?: unknown): MatrixError {
  return new MatrixError("M_UNKNOWN", "This media cannot be thumbnailed", { status: 400, cause });
}

/** Too many pictures are waiting. */
export function busy(cause?: unknown): MatrixError {
  const options = { status: 503, retryAfterMs: RETRY_MS, cause };
  return new MatrixError("M_UNKNOWN", "Cannot make thumbnails at the moment: try again", options);
}

/** What a caller gets for whatever went wrong. What is nobody's fault but ours stays as it is. */
export function toImagingError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof DecoderEnded) return error.end === "unfit" ? busy(error) : notThumbnailable(error);
  const isDeadline = signal.aborted && error === signal.reason && (error as Error | undefined)?.name === "TimeoutError";
  return isDeadline ? busy(error) : error;
}
