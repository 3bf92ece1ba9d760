import { toMatrixError } from "../../shared/http/failure_answer.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { toldOf } from "../stores/trouble.ts";

/**
 * The one place of the origin where whatever was thrown becomes what the client sees. The cause stays in the log.
 */
export function matrixErrorOf(thrown: unknown): MatrixError {
  const told = toldOf(thrown);
  if (told) return told;
  const status = frameworkStatus(thrown);
  if (status === undefined) return toMatrixError(thrown);
  return new MatrixError("M_UNKNOWN", "Cannot understand the request", { status, cause: thrown });
}

/** The client's own mistakes that the framework finds (a malformed URL, say) carry a 4xx status. */
function frameworkStatus(thrown: unknown): number | undefined {
  const status = (thrown as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === "number" && status >= 400 && status < 500 ? status : undefined;
}
