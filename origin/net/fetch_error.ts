/** Why an outbound request came to nothing. */
export type FetchFailure =
  /** The URL is invalid, of another scheme than http(s), carries a password, or is http where only https will do. */
  | "url"
  /** The name has no address, or its servers don't answer. */
  | "dns"
  /** Every address of the name is one that must not be dialled. */
  | "address"
  /** Refused, unreachable, or closed before an answer. */
  | "connect"
  /** The certificate is not valid for the name, or the handshake failed. */
  | "tls"
  | "timeout"
  /** More bytes than allowed, announced or sent. */
  | "too_large"
  /** Too many redirects. */
  | "redirect"
  /** Compressed although we asked for the plain bytes. */
  | "encoding"
  /** Not HTTP, cut short, or not the JSON that was asked for. */
  | "broken"
  /** Too many requests are under way, or this machine has no means for another. */
  | "busy"
  /** The caller's signal. */
  | "aborted";

/** What `SafeFetch` and the bodies of its responses fail with. The message may hold addresses and names: for logs, never for clients. */
export class FetchError extends Error {
  readonly failure: FetchFailure;

  constructor(failure: FetchFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "FetchError";
    this.failure = failure;
  }
}

const FAILURES: Readonly<Record<string, FetchFailure>> = {
  UND_ERR_HEADERS_TIMEOUT: "timeout",
  UND_ERR_BODY_TIMEOUT: "timeout",
  UND_ERR_CONNECT_TIMEOUT: "timeout",
  UND_ERR_RES_EXCEEDED_MAX_SIZE: "too_large",
  UND_ERR_HEADERS_OVERFLOW: "too_large",
  HPE_HEADER_OVERFLOW: "too_large",
  UND_ERR_INVALID_ARG: "url",
};

/** What sockets and undici say of a connection that ended, or broke, without telling more. */
const CLOSED: ReadonlySet<unknown> = new Set([
  "UND_ERR_SOCKET",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

/** What this machine has no more of: descriptors, buffers, ports. */
const SHORTAGES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL"]);

/** True for an error that says nothing of the other side: it could not even be asked. */
export function isShortage(thrown: unknown): boolean {
  return SHORTAGES.has((thrown as { code?: unknown }).code);
}

/** True for the error of a connection that the peer, or the network, closed. */
export function isClosed(thrown: unknown): boolean {
  return CLOSED.has((thrown as { code?: unknown }).code);
}

/** As {@link toFetchError}, of a request that has no answer yet: to be closed then is not to be reached. */
export function toUnansweredError(thrown: unknown): FetchError {
  if (!isClosed(thrown)) return toFetchError(thrown);
  return new FetchError("connect", `Closed before an answer: ${(thrown as Error).message}`, thrown);
}

/** Whatever went wrong in a request, as a {@link FetchError}; one that already is stays as it is. */
export function toFetchError(thrown: unknown): FetchError {
  if (thrown instanceof FetchError) return thrown;
  const { code, message } = thrown as { code?: unknown; message?: unknown };
  const failure = isShortage(thrown) ? "busy" : typeof code === "string" ? FAILURES[code] : undefined;
  return new FetchError(failure ?? "broken", `Cannot finish the request: ${String(message ?? thrown)}`, thrown);
}
