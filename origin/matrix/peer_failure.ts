import { Failure, isFailure } from "../../shared/matrix/failure.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { SafeResponse } from "../net/fetch_answer.ts";
import { FetchError, type FetchFailure } from "../net/fetch_error.ts";
import { CircuitOpenError, type Judgement } from "../platform/circuit.ts";

/** What it means that asking another server has failed: for our client, and for those who want to ask that server next. */

/** Whatever went wrong with another server as a failure for our client, with the reason as its cause, never its text. */
export function toPeerFailure(thrown: unknown): Failure | MatrixError {
  if (thrown instanceof MatrixError || isFailure(thrown)) return thrown;
  if (thrown instanceof FetchError) return fromFetch(thrown.failure, thrown);
  const retryAfterMs = thrown instanceof CircuitOpenError ? thrown.retryAfterMs : undefined;
  return new Failure("peer_failed", "The remote server cannot be asked", { retryAfterMs, cause: thrown });
}

/** The media has more bytes than this repository takes from others. */
export function tooLarge(cause?: unknown): Failure {
  return new Failure("peer_too_large", "The remote media is too large", { cause });
}

/** The remote server broke the protocol. */
export function malformed(cause?: unknown): Failure {
  return new Failure("peer_failed", "The remote server did not answer as the specification asks", { cause });
}

/** The remote server does not have the media. */
export function absent(): Failure {
  return new Failure("absent", "The remote server does not have this media");
}

function fromFetch(failure: FetchFailure, cause: FetchError): Failure {
  switch (failure) {
    case "too_large":
      return tooLarge(cause);
    case "timeout":
    case "aborted":
      return new Failure("peer_slow", "The remote server did not answer in time", { cause });
    case "busy":
      return new Failure("busy", "Too many requests are under way", { retryAfterMs: 1000, cause });
    case "encoding":
    case "broken":
    case "redirect":
      return malformed(cause);
    case "url":
    case "dns":
    case "address":
    case "connect":
    case "tls":
      return new Failure("peer_failed", "The remote server cannot be reached", { cause });
    default:
      return failure satisfies never;
  }
}

/**
 * What the error of a request says of the server that was asked. One whose answer is of no use to us is as alive as any: a server
 * with one media that is too large must not lose all its other media for that.
 */
export function judgePeer(error: unknown): Judgement {
  if (!(error instanceof FetchError)) return "nothing";
  const { failure } = error;
  switch (failure) {
    case "dns":
    case "address":
    case "connect":
    case "tls":
    case "timeout":
    case "broken":
      return "down";
    case "too_large":
    case "encoding":
    case "redirect":
      return "alive";
    case "url":
    case "busy":
    case "aborted":
      return "nothing";
    default:
      return failure satisfies never;
  }
}

/**
 * What an answer says of the server. A Matrix server that is busy or waits for an upload says so in JSON; what stands before one
 * that is down does not.
 */
export function judgeAnswer({ status, headers }: Pick<SafeResponse, "status" | "headers">): Judgement {
  if (status < 500) return "alive";
  return headers.get("content-type")?.includes("json") ? "nothing" : "down";
}
