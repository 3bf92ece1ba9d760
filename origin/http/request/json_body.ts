import type { FastifyRequest } from "fastify";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { readBytes } from "../../platform/bytes.ts";
import { bodyOf } from "./request_body.ts";

/** The largest JSON body that is read, in bytes. */
const MAX_BYTES = 64 * 1024;

/**
 * The JSON object that a request brings; an absent or empty body is an empty object. `idleMs`: how long the body may stand
 * still, in milliseconds.
 *
 * Errors: 400 `M_NOT_JSON` for what is no JSON in UTF-8; 400 `M_BAD_JSON` for what is no object; 413 `M_TOO_LARGE`; 408.
 */
export async function jsonObjectOf(request: FastifyRequest, idleMs: number): Promise<Record<string, unknown>> {
  const value = parse(await readBytes(bodyOf(request, idleMs), MAX_BYTES, tooLarge));
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new MatrixError("M_BAD_JSON", "The body must be a JSON object");
}

function parse(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return {};
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new MatrixError("M_NOT_JSON", "The body is not valid JSON", { cause });
  }
}

function tooLarge(): MatrixError {
  return new MatrixError("M_TOO_LARGE", `Cannot read a body of more than ${MAX_BYTES} bytes here`);
}
