import { BODY_END_HEADER, bodyEndBytes } from "../../shared/tiers/hop.ts";

/** The headers and the body that a forwarded request takes to the origin. */

/**
 * What clients may not tell the origin: hops, the names by which proxies pass on who asked, and what is said to the next
 * connection only (a `Connection` could name our own headers, for a proxy to drop).
 */
const CLIENT_MAY_NOT_SEND =
  /^(?:mxcdn-|x-forwarded-|cf-|forwarded$|x-real-ip$|true-client-ip$|connection$|keep-alive$|upgrade$|expect$)/;

/** The client's headers without those it may not send. The bytes are passed on as they are: they must not be encoded on the way. */
export function forwardedHeaders(request: Request): Headers {
  const headers = new Headers(request.headers);
  for (const name of [...headers.keys()]) if (CLIENT_MAY_NOT_SEND.test(name)) headers.delete(name);
  if (!forwardedBody(request)) for (const name of ["content-length", "transfer-encoding"]) headers.delete(name);
  headers.set("accept-encoding", "identity");
  return headers;
}

/** A body on its way to the origin, and what must be told of it. */
export interface ForwardedBody {
  readonly body: ReadableStream | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** The client's body, which a GET or HEAD cannot have on the way to the origin (`fetch` refuses it). */
export function forwardedBody({ method, body }: Request): Request["body"] {
  return method === "GET" || method === "HEAD" ? null : body;
}

/**
 * The client's body with the proof that it is whole (`shared/tiers/hop`): one with a length proves it by that. `word` must be
 * one that the client cannot know.
 */
export function provenBody(request: Request, word: string): ForwardedBody {
  const body = forwardedBody(request);
  if (body === null || request.headers.has("content-length")) return { body, headers: {} };
  // The runtime's own kind of stream: what passes through it is touched by no JavaScript.
  const { readable, writable } = new IdentityTransformStream();
  // Where it fails there is no word at the end, which the origin takes for what it is.
  void sendWhole(body, writable, word).catch(() => undefined);
  return { body: readable, headers: { [BODY_END_HEADER]: word } };
}

async function sendWhole(body: ReadableStream, writable: WritableStream, word: string): Promise<void> {
  await body.pipeTo(writable, { preventClose: true });
  const writer = writable.getWriter();
  await writer.write(bodyEndBytes(word));
  await writer.close();
}
