/** Every error code a client may see, with the status it has unless the thrower says otherwise (reference: CS and SS API error codes). */
const STATUS = {
  M_BAD_JSON: 400,
  M_NOT_JSON: 400,
  M_MISSING_PARAM: 400,
  M_INVALID_PARAM: 400,
  M_UNKNOWN_DEVICE: 400,
  M_MISSING_TOKEN: 401,
  M_UNKNOWN_TOKEN: 401,
  M_USER_LOCKED: 401,
  M_UNAUTHORIZED: 401,
  M_FORBIDDEN: 403,
  M_GUEST_ACCESS_FORBIDDEN: 403,
  M_USER_SUSPENDED: 403,
  M_USER_DEACTIVATED: 403,
  M_USER_LIMIT_EXCEEDED: 403,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_CONSENT_NOT_GIVEN: 403,
  M_NOT_FOUND: 404,
  M_UNRECOGNIZED: 404,
  M_CANNOT_OVERWRITE_MEDIA: 409,
  M_TOO_LARGE: 413,
  M_LIMIT_EXCEEDED: 429,
  M_UNKNOWN: 500,
  M_NOT_YET_UPLOADED: 504,
} as const;

/** An error code of the Matrix specification that this service may answer with. */
export type Errcode = keyof typeof STATUS;

/** What a thrower may say beyond code and message. */
export interface MatrixErrorOptions {
  /** HTTP status, where it is not the usual one of the code. */
  status?: number | undefined;
  /** What was caught; for logs, never for the client. */
  cause?: unknown;
  /** Milliseconds after which a retry makes sense; becomes `Retry-After` and `retry_after_ms`. */
  retryAfterMs?: number | undefined;
  /** matrix-media-repo's finer code, where the usual one does not fit (a quota: `M_QUOTA_EXCEEDED`). */
  mrErrcode?: string | undefined;
  /** More keys for the body, such as `soft_logout`. They cannot replace `errcode`, `error` or `mr_errcode`. */
  extra?: Record<string, unknown> | undefined;
  /** More response headers, lower-case names (a 416's `content-range`). */
  headers?: Record<string, string> | undefined;
}

/** The only kind of error that reaches a client. Its message does too: no secrets, no paths, no addresses. */
export class MatrixError extends Error {
  readonly errcode: Errcode;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly mrErrcode: string;
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(errcode: Errcode, message: string, options: MatrixErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MatrixError";
    this.errcode = errcode;
    this.status = options.status ?? STATUS[errcode];
    this.retryAfterMs = options.retryAfterMs;
    this.mrErrcode = options.mrErrcode ?? mrErrcodeOf(errcode, this.status);
    this.headers = options.headers ?? {};
    this.extra = options.extra ?? {};
  }

  /** The JSON body: `errcode`, `error`, `mr_errcode`, and whole milliseconds in `retry_after_ms` (deprecated since 1.10, but old clients read only that). */
  toBody(): Record<string, unknown> {
    const wait = this.retryAfterMs === undefined ? {} : { retry_after_ms: Math.max(0, Math.ceil(this.retryAfterMs)) };
    return { ...this.extra, errcode: this.errcode, error: this.message, mr_errcode: this.mrErrcode, ...wait };
  }
}

/** Whether a text (of another server's answer) is one of the codes that we know. */
export function isErrcode(text: unknown): text is Errcode {
  return typeof text === "string" && Object.hasOwn(STATUS, text);
}

/** Whether something thrown refuses a request for want of a good token (401). */
export function isUnauthenticated(thrown: unknown): thrown is MatrixError {
  return thrown instanceof MatrixError && thrown.status === STATUS.M_UNKNOWN_TOKEN;
}

/** Whether something thrown refuses a request to whoever has shown who they are (403). */
export function isForbidden(thrown: unknown): thrown is MatrixError {
  return thrown instanceof MatrixError && thrown.status === STATUS.M_FORBIDDEN;
}

/** Whether something thrown is an answer to the request (a 4xx), not the lack of one. */
export function isRefusal(thrown: unknown): thrown is MatrixError {
  return thrown instanceof MatrixError && thrown.status < STATUS.M_UNKNOWN;
}

/** matrix-media-repo's own code, which its tools and their users read. */
function mrErrcodeOf(errcode: Errcode, status: number): string {
  switch (errcode) {
    case "M_TOO_LARGE":
      return "M_MEDIA_TOO_LARGE";
    case "M_UNRECOGNIZED":
      return status === 405 ? "M_METHOD_NOT_ALLOWED" : "M_NOT_FOUND";
    case "M_MISSING_PARAM":
    case "M_INVALID_PARAM":
    case "M_NOT_JSON":
    case "M_BAD_JSON":
      return "M_BAD_REQUEST";
    case "M_UNKNOWN":
      return status < 500 ? "M_BAD_REQUEST" : errcode;
    default:
      return errcode;
  }
}
