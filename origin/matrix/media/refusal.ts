import { Failure } from "../../../shared/matrix/failure.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import { readBytes } from "../../platform/bytes.ts";
import { absent, tooLarge } from "../peer_failure.ts";

/** Reads why another server sends us no media. */

const MAX_ERROR_BYTES = 65_536;
const MAX_RETRY_S = 3_600;
/** For a server that has asked too often without saying when to come again. */
const RETRY_MS = 10_000;

/** The errcode of an error answer, `undefined` if it has none. Reads the body, at most 64 KiB of it. Throws what the body does. */
export async function readErrcode(response: SafeResponse): Promise<string | undefined> {
  const tooLong = new Error("The error answer is too long");
  const bytes = await readBytes(response.body, MAX_ERROR_BYTES, () => tooLong).catch((error) => {
    if (error !== tooLong) throw error;
    return Buffer.of();
  });
  try {
    const body: unknown = JSON.parse(bytes.toString());
    const errcode = typeof body === "object" && body !== null ? (body as { errcode?: unknown }).errcode : undefined;
    return typeof errcode === "string" ? errcode : undefined;
  } catch {
    return undefined;
  }
}

/** What an answer means that is neither 200 nor a reason to try the older endpoint. */
export function refusal(response: SafeResponse, errcode: string | undefined): Failure {
  const { status } = response;
  const cause = new Error(`The remote server answered with status ${status} ${errcode ?? "without errcode"}`);
  if (status === 404 && errcode === "M_NOT_FOUND") return absent();
  if (status === 504 && errcode === "M_NOT_YET_UPLOADED") {
    return new Failure("not_yet", "The remote media has not been uploaded yet", { cause });
  }
  if (errcode === "M_TOO_LARGE") return tooLarge(cause);
  const retryAfterMs = status === 429 ? retryAfter(response) : undefined;
  return new Failure("peer_failed", "The remote server refused to send the media", { retryAfterMs, cause });
}

function retryAfter(response: SafeResponse): number {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, MAX_RETRY_S) * 1000 : RETRY_MS;
}
