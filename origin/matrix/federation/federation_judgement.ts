import type { SafeResponse } from "../../net/fetch_answer.ts";
import { FetchError } from "../../net/fetch_error.ts";
import type { Judgement } from "../../platform/circuit.ts";

/**
 * What the error of a request says of the server that was asked. One whose answer is of no use to us is as alive as any: whoever
 * refuses its media for being too large must not be refused all its media for that.
 */
export function judgeError(error: unknown): Judgement {
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
