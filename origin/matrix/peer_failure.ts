import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { SafeResponse } from "../net/fetch_answer.ts";
import { FetchError, type FetchFailure } from "../net/fetch_error.ts";
import { CircuitOpenError } from "../platform/circuit.ts";
import { MultipartError } from "./media/multipart_reader.ts";

const MAX_ERROR_BYTES = 65_536;

/** Whatever went wrong with another server, as what our client gets: 502 or 504 with the reason as its cause, never its text. */
export function toRemoteError(thrown: unknown): MatrixError {
  if (thrown instanceof MatrixError) return thrown;
  if (thrown instanceof FetchError) return fromFailure(thrown.failure, thrown);
  if (thrown instanceof MultipartError) return malformed(thrown);
  const retryAfterMs = thrown instanceof CircuitOpenError ? thrown.retryAfterMs : undefined;
  return new MatrixError("M_UNKNOWN", "The remote server cannot be asked", {
    status: 502,
    retryAfterMs,
    cause: thrown,
  });
}

/** The media has more bytes than this repository takes from others. */
export function tooLarge(cause?: unknown): MatrixError {
  return new MatrixError("M_TOO_LARGE", "The remote media is too large", { status: 502, cause });
}

/** The remote server broke the protocol. */
export function malformed(cause?: unknown): MatrixError {
  return new MatrixError("M_UNKNOWN", "The remote server did not answer as the specification asks", {
    status: 502,
    cause,
  });
}

/** The remote server does not have the media. */
export function notThere(): MatrixError {
  return new MatrixError("M_NOT_FOUND", "The remote server does not have this media");
}

/** The errcode of an error answer, `undefined` if it is none of Matrix's. Reads the body, at most 64 KiB of it. */
export async function readErrcode(response: SafeResponse): Promise<string | undefined> {
  let seen = 0;
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) {
    seen += chunk.byteLength;
    if (seen > MAX_ERROR_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
    const errcode = typeof body === "object" && body !== null ? (body as { errcode?: unknown }).errcode : undefined;
    return typeof errcode === "string" ? errcode : undefined;
  } catch {
    return undefined;
  }
}

/** What a client gets for an answer that is neither 200 nor a reason to try the older endpoint. */
export function fromStatus(response: SafeResponse, errcode: string | undefined): MatrixError {
  const { status } = response;
  const cause = new Error(`The remote server answered with status ${status} ${errcode ?? "without errcode"}`);
  if (status === 404 && errcode === "M_NOT_FOUND") return notThere();
  if (status === 504 && errcode === "M_NOT_YET_UPLOADED") {
    return new MatrixError("M_NOT_YET_UPLOADED", "The remote media has not been uploaded yet", { cause });
  }
  if (errcode === "M_TOO_LARGE") return tooLarge(cause);
  const retryAfterMs = status === 429 ? retryAfter(response) : undefined;
  return new MatrixError("M_UNKNOWN", "The remote server refused to send the media", {
    status: 502,
    retryAfterMs,
    cause,
  });
}

function retryAfter(response: SafeResponse): number {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 3600) * 1000 : 10_000;
}

function fromFailure(failure: FetchFailure, cause: FetchError): MatrixError {
  switch (failure) {
    case "too_large":
      return tooLarge(cause);
    case "timeout":
    case "aborted":
      return new MatrixError("M_UNKNOWN", "The remote server did not answer in time", { status: 504, cause });
    case "busy":
      return new MatrixError("M_UNKNOWN", "Too many requests are under way", {
        status: 503,
        retryAfterMs: 1000,
        cause,
      });
    case "encoding":
    case "broken":
    case "redirect":
      return malformed(cause);
    case "url":
    case "dns":
    case "address":
    case "connect":
    case "tls":
      return new MatrixError("M_UNKNOWN", "The remote server cannot be reached", { status: 502, cause });
    default:
      return failure satisfies never;
  }
}
