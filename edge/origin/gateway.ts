import * as z from "zod/mini";
import { Failure, isFailure } from "../../shared/matrix/failure.ts";
import { isErrcode, MatrixError } from "../../shared/matrix/matrix_error.ts";
import { HOP_REFUSED_HEADER } from "../../shared/tiers/hop.ts";
import { parseDocument } from "../../shared/tiers/parse_document.ts";
import { DeadlineExceeded, withDeadline } from "../cache/deadline.ts";

/** What can go wrong between the edge and the origin, and what the origin itself refuses. */

/** When a client may try again after the origin was not there, in milliseconds. */
const RETRY_AFTER_MS = 5_000;

/**
 * What `ask` gives within `timeoutMs` milliseconds.
 * Errors: its own Matrix errors and failures; `peer_slow` when it was late; `peer_failed` for whatever else goes wrong on the way.
 */
export async function answered<T>(timeoutMs: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await withDeadline(timeoutMs, "asking the origin", ask);
  } catch (thrown) {
    if (thrown instanceof MatrixError || isFailure(thrown)) throw thrown;
    throw thrown instanceof DeadlineExceeded ? gatewayTimeout(thrown) : badGateway(undefined, thrown);
  }
}

/**
 * Tells the origin's own answers from those of whatever stands in front of it (Cloudflare's 520 to 530, a proxy's page), and
 * from a refusal that means us and not the client: `peer_failed` or `peer_slow` in each case.
 */
export async function requireOrigin(response: Response): Promise<void> {
  const foreign = foreignAnswer(response);
  if (!foreign) return;
  await response.body?.cancel();
  throw foreign;
}

function foreignAnswer({ status, headers }: Response): Failure | undefined {
  if (headers.has(HOP_REFUSED_HEADER)) return unrecognised();
  if (status < 500) return undefined;
  if (status < 520 && /^application\/json\b/i.test(headers.get("content-type") ?? "")) return undefined;
  return status === 504 || status === 522 || status === 524 ? gatewayTimeout() : badGateway();
}

/** The origin does not believe our signature, or does not know what we ask. */
export function unrecognised(): Failure {
  return badGateway(
    "The origin does not recognise this edge: HOP_SECRET and edge.hopSecret must be the same, the clocks of both tiers " +
      "agree to the minute, and the origin be no older than the edge. The origin's log says more",
  );
}

/** The origin is not there, or answers what it should not. */
export function badGateway(message = "The origin is not reachable at the moment", cause?: unknown): Failure {
  return new Failure("peer_failed", message, { retryAfterMs: RETRY_AFTER_MS, cause });
}

function gatewayTimeout(cause?: unknown): Failure {
  const message = "The origin did not answer in time";
  return new Failure("peer_slow", message, { retryAfterMs: RETRY_AFTER_MS, cause });
}

const errorSchema = z.looseObject({
  errcode: z.string(),
  error: z.optional(z.string()),
  mr_errcode: z.optional(z.string()),
  retry_after_ms: z.optional(z.number().check(z.nonnegative())),
});

/**
 * The error that an answer of the origin carries, with everything it says, so that the client gets the same from the edge.
 * Any other answer becomes `M_UNKNOWN` with its status.
 */
export function readMatrixError(response: Response, text: string): MatrixError {
  const read = parseDocument(errorSchema, text);
  if (!read)
    return new MatrixError("M_UNKNOWN", "The origin answered in a form unknown here", { status: badStatus(response) });
  const { errcode, error, mr_errcode, retry_after_ms, ...extra } = read;
  return new MatrixError(isErrcode(errcode) ? errcode : "M_UNKNOWN", error ?? "Refused", {
    status: badStatus(response),
    mrErrcode: mr_errcode,
    retryAfterMs: retry_after_ms ?? retryAfterOf(response),
    extra,
  });
}

/** A success or a redirect where a verdict was asked for is the gateway's fault. */
function badStatus(response: Response): number {
  return response.status >= 400 ? response.status : 502;
}

function retryAfterOf(response: Response): number | undefined {
  const seconds = response.headers.get("retry-after");
  return seconds && /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1_000 : undefined;
}
