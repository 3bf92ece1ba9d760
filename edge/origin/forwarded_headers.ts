import { forwardedBody } from "./forwarded_body.ts";

/**
 * What clients may not tell the origin: hops, the names by which proxies pass on who asked, and what is said to the next
 * connection only (a `Connection` could name our own headers, for a proxy to drop).
 */
const CLIENT_MAY_NOT_SEND =
  /^(?:mxcdn-|x-forwarded-|cf-|forwarded$|x-real-ip$|true-client-ip$|connection$|keep-alive$|upgrade$|expect$)/;

/** The client's headers without what it may not say. The bytes are passed on as they are, so nobody may encode them on the way. */
export function forwardedHeaders(request: Request): Headers {
  const headers = new Headers(request.headers);
  for (const name of [...headers.keys()]) if (CLIENT_MAY_NOT_SEND.test(name)) headers.delete(name);
  if (!forwardedBody(request)) for (const name of ["content-length", "transfer-encoding"]) headers.delete(name);
  headers.set("accept-encoding", "identity");
  return headers;
}
