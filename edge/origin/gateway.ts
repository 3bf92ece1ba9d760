import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { HOP_REFUSED_HEADER } from "../../shared/tiers/hop.ts";

/** When a client may try again after the origin was not there, in milliseconds. */
const RETRY_AFTER_MS = 5_000;

/**
 * What `ask` gives, which is told when `timeoutMs` milliseconds are over.
 * Errors: its own Matrix errors; 504 when it was late, 502 for whatever else goes wrong on the way, both with `Retry-After`.
 */
export async function answered<T>(timeoutMs: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    return await ask(late.signal);
  } catch (thrown) {
    if (thrown instanceof MatrixError) throw thrown;
    throw late.signal.aborted ? gatewayTimeout(thrown) : badGateway(undefined, thrown);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Tells the origin's own answers from those of whatever stands in front of it (Cloudflare's 520 to 530, a proxy's page), and
 * from a refusal that means us and not the client: the client gets a Matrix error in each case.
 */
export async function demandOrigin(response: Response): Promise<void> {
  const foreign = foreignAnswer(response);
  if (!foreign) return;
  await response.body?.cancel();
  throw foreign;
}

function foreignAnswer({ status, headers }: Response): MatrixError | undefined {
  if (headers.has(HOP_REFUSED_HEADER)) return unrecognised();
  if (status < 500) return undefined;
  if (status < 520 && /^application\/json\b/i.test(headers.get("content-type") ?? "")) return undefined;
  return status === 504 || status === 522 || status === 524 ? gatewayTimeout() : badGateway();
}

/** The origin does not believe our signature, or does not know what we ask. */
export function unrecognised(): MatrixError {
  return badGateway(
    "The origin does not recognise this edge: HOP_SECRET and edge.hopSecret must be the same, the clocks of both tiers " +
      "agree to the minute, and the origin be no older than the edge. The origin's log says more",
  );
}

/** 502 `M_UNKNOWN`: the origin is not there, or answers what it should not. */
export function badGateway(message = "The origin is not reachable at the moment", cause?: unknown): MatrixError {
  return new MatrixError("M_UNKNOWN", message, { status: 502, retryAfterMs: RETRY_AFTER_MS, cause });
}

function gatewayTimeout(cause?: unknown): MatrixError {
  const message = "The origin did not answer in time";
  return new MatrixError("M_UNKNOWN", message, { status: 504, retryAfterMs: RETRY_AFTER_MS, cause });
}
