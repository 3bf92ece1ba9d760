import { Failure } from "../../../shared/matrix/failure.ts";
import { tooLarge } from "./ingest.ts";

/**
 * May an upload of `declaredBytes` begin? Spares reading a body that could never be stored; what really arrives is
 * counted later, by `ingest`.
 *
 * Errors: 413 `M_TOO_LARGE`, 400 when less than the smallest allowed size is announced.
 */
export function admit(
  limits: { readonly maxBytes: number; readonly minBytes: number },
  declaredBytes: number | undefined,
): void {
  if (declaredBytes === undefined) return;
  if (limits.maxBytes > 0 && declaredBytes > limits.maxBytes) throw tooLarge(limits.maxBytes);
  requireEnough(limits.minBytes, declaredBytes);
}

/** Refuses a body of fewer than `minBytes` bytes (MMR's `uploads.minBytes`; 0 lets even an empty one in). */
export function requireEnough(minBytes: number, bytes: number): void {
  if (bytes >= minBytes) return;
  throw new Failure("unreadable", `Body too small or not provided: at least ${minBytes} bytes are needed`, {
    mrErrcode: "M_MEDIA_TOO_SMALL",
  });
}
