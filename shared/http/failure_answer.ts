import { Failure, type FailureKind } from "../matrix/failure.ts";
import { type Errcode, MatrixError } from "../matrix/matrix_error.ts";

/** What a client is told of each kind of failure: code, status, and after how many milliseconds to try again. */
const TOLD: Readonly<Record<FailureKind, readonly [errcode: Errcode, status: number, retryAfterMs?: number]>> = {
  absent: ["M_NOT_FOUND", 404],
  refused: ["M_FORBIDDEN", 403],
  conflict: ["M_CANNOT_OVERWRITE_MEDIA", 409],
  unreadable: ["M_UNKNOWN", 400],
  too_large: ["M_TOO_LARGE", 413],
  limited: ["M_LIMIT_EXCEEDED", 429],
  not_yet: ["M_NOT_YET_UPLOADED", 504],
  busy: ["M_UNKNOWN", 503, 2_000],
  unavailable: ["M_UNKNOWN", 503, 2_000],
  // An operator must make room first.
  no_room: ["M_UNKNOWN", 507, 60_000],
  peer_failed: ["M_UNKNOWN", 502],
  peer_slow: ["M_UNKNOWN", 504],
  peer_too_large: ["M_TOO_LARGE", 502],
  loop: ["M_UNKNOWN", 508],
  ours: ["M_UNKNOWN", 500],
};

/**
 * What a client is told of whatever was thrown, the same by both tiers: a `MatrixError` as it is, a failure by its kind,
 * anything else as an internal error that tells nothing and keeps the cause for the log.
 */
export function toMatrixError(thrown: unknown): MatrixError {
  if (thrown instanceof MatrixError) return thrown;
  if (!(thrown instanceof Failure)) return new MatrixError("M_UNKNOWN", "Internal server error", { cause: thrown });
  const [errcode, status, retryAfterMs] = TOLD[thrown.kind];
  return new MatrixError(errcode, thrown.message, {
    ...{ status, cause: thrown.cause ?? thrown },
    retryAfterMs: thrown.retryAfterMs ?? retryAfterMs,
    mrErrcode: thrown.mrErrcode,
  });
}
