import { Failure } from "../../../shared/matrix/failure.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { troubleOf } from "../trouble.ts";

/** What a client is told where a datastore fails: the one place that makes such errors. What really happened is the cause. */

const CANNOT_READ = "Cannot read the media at the moment";
const RETRY_MS = 5_000;
/** Somebody must make room first. */
const NO_ROOM_RETRY_MS = 60_000;
const INSUFFICIENT_STORAGE = 507;

/** 503 with a time to retry: a body that should be there is not, or its datastore does not answer. */
export function cannotRead(cause: unknown): MatrixError {
  return trouble(CANNOT_READ, 503, RETRY_MS, cause);
}

/**
 * The object of a body is not in its datastore, or is not what it was. Whoever catches it forgets the row that named the body; a
 * client is told the same as by {@link cannotRead}. `cause`: for the log, where it is not just that.
 */
export class LostObject extends Failure {
  constructor(
    { sha256 }: { readonly sha256: string },
    cause = new Error(`the object of ${sha256} is not in its datastore, or has another size`),
  ) {
    super("unavailable", CANNOT_READ, { retryAfterMs: RETRY_MS, cause });
  }
}

/** 503 with a time to retry, or 507 where there is no room left. */
export function cannotStore(cause: unknown): MatrixError {
  return troubleOf(cause) === "no_room"
    ? trouble("Cannot store the media: the server has no room left", INSUFFICIENT_STORAGE, NO_ROOM_RETRY_MS, cause)
    : trouble("Cannot store the media at the moment", 503, RETRY_MS, cause);
}

/**
 * Does `work`; what it throws becomes an error of `tell`, a deadline that has passed included. Only that whoever wanted it has
 * gone (an abort of `signal` that is no deadline) is thrown as it is.
 */
export async function telling<T>(
  tell: (cause: unknown) => MatrixError,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    signal.throwIfAborted();
    return await work();
  } catch (error) {
    const hasLeft = signal.aborted && (signal.reason as Error | undefined)?.name !== "TimeoutError";
    throw hasLeft ? signal.reason : tell(error);
  }
}

function trouble(message: string, status: number, retryAfterMs: number, cause: unknown): MatrixError {
  return new MatrixError("M_UNKNOWN", message, { status, retryAfterMs, cause });
}
