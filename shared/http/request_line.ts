import { MatrixError } from "../matrix/matrix_error.ts";

/** Longest request target, in characters. It travels from tier to tier twice, in the request line and in the signed hop. */
export const MAX_TARGET_LENGTH = 16_384;

/** The methods that endpoints have. All of them answer OPTIONS too. */
export const ENDPOINT_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"] as const;

/** No endpoint has PATCH, but clients try it: a known path answers it 405, an unknown one 404. */
export const KNOWN_METHODS = [...ENDPOINT_METHODS, "PATCH"] as const;

/**
 * What neither tier reads, whatever the endpoint. OPTIONS is answered before.
 * Errors: 414 `M_UNKNOWN` for a target that is too long; 405 `M_UNRECOGNIZED` for a method that no endpoint could have.
 */
export function requireRequestLine(method: string, target: string): void {
  if (target.length > MAX_TARGET_LENGTH) {
    throw new MatrixError("M_UNKNOWN", "Cannot read a target as long as this", { status: 414 });
  }
  if (!KNOWN_METHODS.some((one) => one === method)) throw methodNotAllowed(ENDPOINT_METHODS);
}

/** 405 `M_UNRECOGNIZED`, with the methods that are allowed instead (RFC 9110 §15.5.6). */
export function methodNotAllowed(allowed: readonly string[]): MatrixError {
  return new MatrixError("M_UNRECOGNIZED", "Method not allowed", {
    status: 405,
    headers: { allow: listMethods(allowed) },
  });
}

/** The methods of endpoints as a header lists them. */
export function listMethods(methods: readonly string[]): string {
  return [...methods, "OPTIONS"].join(", ");
}
