import { MatrixError } from "../../../shared/matrix/matrix_error.ts";

/** The answer for media that does not exist, or must look as if it did not. */
export function notFound(): MatrixError {
  return new MatrixError("M_NOT_FOUND", "Media not found");
}
