import * as z from "zod/mini";
import { isErrcode, MatrixError } from "../../shared/matrix/matrix_error.ts";
import { parseDocument } from "../../shared/tiers/parse_document.ts";

const schema = z.looseObject({
  errcode: z.string(),
  error: z.optional(z.string()),
  mr_errcode: z.optional(z.string()),
  retry_after_ms: z.optional(z.number().check(z.nonnegative())),
});

/**
 * The error that an answer of the origin carries, with everything it says, so that the client gets the same from the edge.
 * An answer that is no Matrix error becomes `M_UNKNOWN` with its status.
 */
export function readMatrixError(response: Response, text: string): MatrixError {
  const read = parseDocument(schema, text);
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
