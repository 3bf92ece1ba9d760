/**
 * What can become of a request beside its answer, in words that know nothing of HTTP: code that catches a failure asks for its
 * kind, and what a client is told of each kind stands in one table (`shared/http/failure_answer.ts`).
 */

/** A closed set: the compiler counts it where it is mapped. */
export type FailureKind =
  /** It is not there, or is not to be known to be there. */
  | "absent"
  /** The requester may not. */
  | "refused"
  /** It would replace what may not be replaced. */
  | "conflict"
  /** What was sent cannot be used: not what it claims to be, or broken. */
  | "unreadable"
  /** More bytes, or pixels, than are taken here. */
  | "too_large"
  /** The requester has asked too often, or for too much. */
  | "limited"
  /** What is asked for was promised, and has not come in the time that the request gives it. */
  | "not_yet"
  /** We do too much at once; it says nothing of what was asked. */
  | "busy"
  /** Something of ours is away that will come back: the database, a store, the homeserver. */
  | "unavailable"
  /** There is no room to store anything. */
  | "no_room"
  /** Another server failed, or answered what cannot be used. */
  | "peer_failed"
  /** Another server did not answer in time. */
  | "peer_slow"
  /** What another server holds is larger than is taken here. */
  | "peer_too_large"
  /** A request of ours has come back to us. */
  | "loop"
  /** A mistake of ours. */
  | "ours";

/** What a failure may say beyond kind and message. */
export interface FailureOptions {
  /** What was caught; for logs, never for the client. */
  readonly cause?: unknown;
  /** Milliseconds after which a retry makes sense, where it is not the usual time of the kind. */
  readonly retryAfterMs?: number | undefined;
  /** matrix-media-repo's finer code, where the usual one does not fit (a quota: `M_QUOTA_EXCEEDED`). */
  readonly mrErrcode?: string | undefined;
}

/** A failure of a kind. Its message reaches the client: no secrets, no paths, no addresses. */
export class Failure extends Error {
  readonly kind: FailureKind;
  readonly retryAfterMs: number | undefined;
  readonly mrErrcode: string | undefined;

  constructor(kind: FailureKind, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Failure";
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs;
    this.mrErrcode = options.mrErrcode;
  }
}

/** Whether something thrown is a failure of one of these kinds. */
export function isFailure(thrown: unknown, ...kinds: readonly FailureKind[]): thrown is Failure {
  return thrown instanceof Failure && (kinds.length === 0 || kinds.includes(thrown.kind));
}
