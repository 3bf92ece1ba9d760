import { toMatrixError } from "../../shared/http/failure_answer.ts";
import { Failure, type FailureKind, isFailure } from "../../shared/matrix/failure.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { sqlState } from "./db/sql_state.ts";
import { statusOf } from "./objects/s3/s3_errors.ts";

/**
 * What the machine, the database or a store may fail with that is neither our mistake nor that of whoever asked: the one place
 * that tells such causes apart, and the one that makes of them what a client is told.
 */

/** A kind of failure that passes, or that an operator can mend, while nobody asks for anything else than before. */
export type Trouble =
  /** No room left: on a disk, in a quota, in an S3 store, for the database. */
  | "no_room"
  /** Nothing may be written: a file system or a database that is read-only (a primary that was demoted). */
  | "read_only"
  /** Too much at once: descriptors, memory, connections, locks. */
  | "busy"
  /** Not there, or not any more. */
  | "away";

/** Of the operating system. Those of sockets are not here: they say nothing of whose socket it was. */
const BY_ERRNO: ReadonlyMap<unknown, Trouble> = new Map([
  ["ENOSPC", "no_room"],
  ["EDQUOT", "no_room"],
  ["EROFS", "read_only"],
  ["EMFILE", "busy"],
  ["ENFILE", "busy"],
  ["ENOMEM", "busy"],
  ["EAGAIN", "busy"],
  ["EIO", "away"],
  ["ESTALE", "away"],
  ["ENODEV", "away"],
]);

/** Names of S3 errors. */
const BY_NAME: ReadonlyMap<unknown, Trouble> = new Map([
  ["QuotaExceeded", "no_room"],
  ["XMinioStorageFull", "no_room"],
  ["StorageFull", "no_room"],
]);

/** Beginnings of codes of Postgres (appendix A of its manual); the first that fits counts. */
const BY_SQL_STATE: readonly (readonly [string, Trouble])[] = [
  ["08", "away"], // connection exceptions
  ["25006", "read_only"],
  ["25P03", "away"], // the session was ended: idle in a transaction
  ["25P04", "away"], // transaction timeout
  ["40001", "busy"], // serialization failure, after all tries
  ["40P01", "busy"], // deadlock
  ["53100", "no_room"],
  ["53", "busy"], // memory, connections, a limit of the configuration
  ["55P03", "busy"], // lock timeout
  ["57014", "busy"], // statement timeout
  ["57P", "away"], // shut down, crashed, not up yet, dropped
  ["58", "away"], // the server's own system errors
];

const INSUFFICIENT_STORAGE = 507;
/** Causes of causes: an error that holds itself would go on for ever. */
const DEPTH = 8;

/** Which trouble an error is, or was caused by; `undefined` for everything else, which is a mistake of somebody's. */
export function troubleOf(thrown: unknown): Trouble | undefined {
  let error = thrown;
  for (let depth = 0; depth < DEPTH && error !== undefined && error !== null; depth += 1) {
    const trouble = ownTrouble(error);
    if (trouble !== undefined) return trouble;
    error = error instanceof AggregateError ? error.errors[0] : (error as { cause?: unknown }).cause;
  }
  return undefined;
}

function ownTrouble(error: unknown): Trouble | undefined {
  const state = sqlState(error);
  if (state !== undefined) return BY_SQL_STATE.find(([beginning]) => state.startsWith(beginning))?.[1];
  if (statusOf(error) === INSUFFICIENT_STORAGE) return "no_room";
  const { code, name } = error as { code?: unknown; name?: unknown };
  return BY_ERRNO.get(code) ?? BY_NAME.get(name);
}

/** What is told of a trouble: as which kind of failure, in which words, and when to try again (in milliseconds). */
const TOLD: Readonly<Record<Trouble, readonly [kind: FailureKind, message: string, retryAfterMs: number]>> = {
  // Somebody must make room first.
  no_room: ["no_room", "The server has no room left", 60_000],
  read_only: ["unavailable", "The server cannot store anything at the moment", 10_000],
  busy: ["busy", "The server is overloaded at the moment", 2_000],
  away: ["unavailable", "The server cannot be reached in full at the moment", 2_000],
};

/** The failure that says so, with a time to retry. What really happened is the cause. */
export function tellTrouble(trouble: Trouble, cause: unknown): Failure {
  const [kind, message, retryAfterMs] = TOLD[trouble];
  return new Failure(kind, message, { retryAfterMs, cause });
}

/** What a client is told of a failure, of a MatrixError and of a trouble; `undefined` for everything else. */
export function toldOf(thrown: unknown): MatrixError | undefined {
  if (thrown instanceof MatrixError || isFailure(thrown)) return toMatrixError(thrown);
  const trouble = troubleOf(thrown);
  return trouble && toMatrixError(tellTrouble(trouble, thrown));
}
