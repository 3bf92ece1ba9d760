import { type Errcode, isErrcode, MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import type { Clock } from "../../platform/clock.ts";
import { LEADS_BACK, leadsBack } from "../own_questions.ts";

/** A JSON object as another server sent it; nothing in it has been checked. */
export type UncheckedObject = Readonly<Record<string, unknown>>;

/** The homeserver did not give an answer of the Client-Server API: whether it would have said yes is unknown. */
export class HomeserverOutage extends Error {}

/**
 * An answer that is of no use, and that may be due to this one question: what one client can bring about says nothing of how
 * the homeserver answers others.
 */
export class UnusableAnswer extends Error {}

/** Statuses of the class 4xx that say nothing of the request: the homeserver is overloaded. */
const OVERLOADED: ReadonlySet<number> = new Set([408, 429]);
const MAX_ERROR_TEXT = 200;
const MAX_RETRY_MS = 3_600_000;
/** For a 429 that names no time. */
const RETRY_MS = 2_000;
/** Keys of an error that clients act on; `soft_logout: true` is what keeps a client from destroying its encryption keys. */
const MEANINGFUL_STRINGS = ["consent_uri", "admin_contact", "info_uri"];
const MEANINGFUL_FLAGS = ["soft_logout", "can_upgrade"];

/**
 * The body of a 200 as an object. A refusal is thrown as the `MatrixError` that the client may get; any other 4xx (a page of
 * the proxy in front of the homeserver) as an {@link UnusableAnswer}, everything else as a {@link HomeserverOutage}.
 */
export async function readAnswer(response: SafeResponse, clock: Clock): Promise<UncheckedObject> {
  const body = await readObject(response);
  if (body && response.status === 200) return body;
  const { status } = response;
  if (body && status === 508 && body.mr_errcode === LEADS_BACK) throw leadsBack();
  const isRefusal = status >= 400 && status < 500 && status !== 408;
  if (body && isRefusal && typeof body.errcode === "string") throw refusal(response, body, clock);
  const said = `The homeserver answered with status ${status}${body ? "" : " and no JSON object"}`;
  throw isRefusal && !OVERLOADED.has(status) ? new UnusableAnswer(said) : new HomeserverOutage(said);
}

async function readObject(response: SafeResponse): Promise<UncheckedObject | undefined> {
  const text = await response.text();
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as UncheckedObject)
      : undefined;
  } catch {
    return undefined;
  }
}

function refusal(response: SafeResponse, body: UncheckedObject, clock: Clock): MatrixError {
  const { status } = response;
  const strings = MEANINGFUL_STRINGS.filter((key) => typeof body[key] === "string");
  const flags = MEANINGFUL_FLAGS.filter((key) => typeof body[key] === "boolean");
  const extra = Object.fromEntries([
    ...strings.map((key) => [key, errorText(body[key])]),
    ...flags.map((key) => [key, body[key]]),
    // Our own limits say which they are; so does this one.
    ...(status === 429 ? [["limit", "homeserver"]] : []),
  ]);
  const retryAfterMs = status === 429 ? retryAfter(response, body, clock) : undefined;
  return new MatrixError(errcodeOf(status, body.errcode), errorText(body.error), { status, extra, retryAfterMs });
}

// A code that nobody here knows becomes one of the same meaning. For 401 that is not M_UNKNOWN_TOKEN, which logs users out.
function errcodeOf(status: number, errcode: unknown): Errcode {
  if (isErrcode(errcode)) return errcode;
  if (status === 403) return "M_FORBIDDEN";
  return status === 429 ? "M_LIMIT_EXCEEDED" : "M_UNKNOWN";
}

function errorText(text: unknown): string {
  if (typeof text !== "string" || text === "") return "The homeserver refused the request";
  return text
    .toWellFormed()
    .replace(/\p{Cc}+/gu, " ")
    .slice(0, MAX_ERROR_TEXT);
}

/** `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), else `retry_after_ms`, else two seconds; at most an hour. */
function retryAfter(response: SafeResponse, body: UncheckedObject, clock: Clock): number {
  const header = response.headers.get("retry-after")?.trim();
  const fromHeader = header && (/^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - clock());
  const candidates = [fromHeader, body.retry_after_ms];
  const wait = candidates.find((value) => typeof value === "number" && Number.isFinite(value) && value >= 0);
  return typeof wait === "number" ? Math.min(wait, MAX_RETRY_MS) : RETRY_MS;
}
