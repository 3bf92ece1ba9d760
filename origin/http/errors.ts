import { MatrixError, toMatrixError } from "../../shared/matrix_error.ts";
import { cannotStore, isNoRoom } from "../stores/datastores/store_trouble.ts";

/**
 * The one place of the origin where whatever was thrown becomes what the client sees. The cause stays in the log.
 */
export function matrixErrorOf(thrown: unknown): MatrixError {
  if (thrown instanceof MatrixError) return thrown;
  // Also where a file was written that is no body yet: an upload as it comes, or a thumbnail.
  if (isNoRoom(thrown)) return cannotStore(thrown);
  const status = frameworkStatus(thrown);
  if (status === undefined) return toMatrixError(thrown);
  return new MatrixError("M_UNKNOWN", "Cannot understand the request", { status, cause: thrown });
}

/** The client's own mistakes that the framework finds (a malformed URL, say) carry a 4xx status. */
function frameworkStatus(thrown: unknown): number | undefined {
  const status = (thrown as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === "number" && status >= 400 && status < 500 ? status : undefined;
}
