import { Failure } from "../../../shared/matrix/failure.ts";
import { troubleOf } from "../trouble.ts";

/** What is thrown where a datastore fails: failures of a kind, whose cause is what really happened. */

const CANNOT_READ = "Cannot read the media at the moment";
const RETRY_MS = 5_000;

/** Unavailable for a while: a body that should be there is not, or its datastore does not answer. */
export function cannotRead(cause: unknown): Failure {
  return unavailable(CANNOT_READ, cause);
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

/** Unavailable for a while, or no room left. */
export function cannotStore(cause: unknown): Failure {
  return troubleOf(cause) === "no_room"
    ? new Failure("no_room", "Cannot store the media: the server has no room left", { cause })
    : unavailable("Cannot store the media at the moment", cause);
}

/**
 * Does `work`; what it throws becomes an error of `tell`, a deadline that has passed included. Only that whoever wanted it has
 * gone (an abort of `signal` that is no deadline) is thrown as it is.
 */
export async function telling<T>(
  tell: (cause: unknown) => Failure,
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

function unavailable(message: string, cause: unknown): Failure {
  return new Failure("unavailable", message, { retryAfterMs: RETRY_MS, cause });
}
