import type { MatrixError } from "../matrix/matrix_error.ts";
import { ENDPOINT_METHODS, listMethods } from "./request_line.ts";

/**
 * Headers of every answer of both tiers: CORS (CS API, Web Browser Clients, with HEAD and Range added), the content security policy
 * that the specification recommends (with matrix-media-repo's `media-src`), and what keeps browsers and robots from misusing media.
 */
export const COMMON_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  "access-control-allow-origin": "*",
  "access-control-allow-methods": listMethods(ENDPOINT_METHODS),
  "access-control-allow-headers": "Origin, X-Requested-With, Content-Type, Accept, Authorization, Range",
  "access-control-expose-headers":
    "Accept-Ranges, Cache-Status, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After",
  "content-security-policy":
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';",
  "x-content-security-policy": "sandbox;",
  "cross-origin-resource-policy": "cross-origin",
  "x-content-type-options": "nosniff",
  "x-robots-tag": "noindex, nofollow, noarchive, noimageindex",
});

/** How long, in seconds, a browser may remember a preflight answer. It never depends on the request. */
const PREFLIGHT_MAX_AGE_S = 86_400;

/** A complete small answer, for whichever server writes it. Header names are lower case; the server adds the length. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | null;
}

/** A Matrix error as an answer: never stored, with `Retry-After` (whole seconds, rounded up) where the error knows one. */
export function errorAnswer(error: MatrixError): Answer {
  const answer = jsonAnswer(error.toBody(), error.status);
  answer.headers["cache-control"] = "no-store";
  if (error.retryAfterMs !== undefined) {
    answer.headers["retry-after"] = String(Math.max(0, Math.ceil(error.retryAfterMs / 1000)));
  }
  Object.assign(answer.headers, error.headers);
  return answer;
}

/** A JSON answer with the common headers. */
export function jsonAnswer(value: unknown, status = 200): Answer {
  return {
    status,
    headers: { ...COMMON_HEADERS, "content-type": "application/json" },
    body: JSON.stringify(value),
  };
}

/** The answer to every OPTIONS request: it runs no endpoint logic (CS API, Web Browser Clients). */
export function preflightAnswer(): Answer {
  return {
    status: 204,
    headers: { ...COMMON_HEADERS, "access-control-max-age": String(PREFLIGHT_MAX_AGE_S) },
    body: null,
  };
}

/** The same answer as a web-standard Response. */
export function toResponse(answer: Answer): Response {
  return new Response(answer.body, { status: answer.status, headers: answer.headers });
}
