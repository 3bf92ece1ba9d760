import type { Dispatcher } from "undici";
import { raceAbort } from "../platform/time.ts";
import type { ConnectionPools, Lease, Place } from "./connection_pools.ts";
import { Exchange } from "./exchange.ts";
import { type Answer, discard } from "./fetch_answer.ts";
import { isClosed, toUnansweredError } from "./fetch_error.ts";
import type { Hop } from "./redirects.ts";

/** How one request is sent. Times in milliseconds. */
export interface Sending {
  readonly place: Place;
  readonly signal: AbortSignal;
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Of the answer's body. */
  readonly maxBytes: number;
}

/** An answer whose headers are here. */
export interface Sent {
  readonly answer: Answer;
  /** To be called exactly once, when the body is over. */
  readonly release: () => void;
}

/**
 * Sends one request. Throws what `signal` aborts with, as soon as it does, or a FetchError. A GET or HEAD that crossed with the
 * closing of a kept connection is sent once more over a new one (RFC 9112, sections 9.3.1 and 9.5).
 */
export async function sendHop(hop: Hop, sending: Sending, pools: ConnectionPools): Promise<Sent> {
  const exchange = new Exchange(sending.maxBytes);
  try {
    return await sendOver(pools.lease(sending.place), hop, sending, exchange);
  } catch (error) {
    const crossed = isClosed(error) && exchange.mayHaveCrossedClosing && isRepeatable(hop);
    if (!crossed) throw toUnansweredError(error);
  }
  try {
    return await sendOver(pools.leaseNew(sending.place), hop, sending, new Exchange(sending.maxBytes));
  } catch (error) {
    throw toUnansweredError(error);
  }
}

async function sendOver(lease: Lease, hop: Hop, sending: Sending, exchange: Exchange): Promise<Sent> {
  const { dispatcher, release } = lease;
  const { url, via } = hop;
  const request = dispatcher.request({
    method: hop.method as Dispatcher.HttpMethod,
    origin: url.origin,
    path: url.pathname + url.search,
    headers: { ...hop.headers, host: via?.hostHeader ?? url.host, "accept-encoding": "identity" },
    body: hop.body ?? null,
    signal: sending.signal,
    headersTimeout: sending.headersTimeoutMs,
    bodyTimeout: sending.idleTimeoutMs,
    opaque: exchange,
  });
  try {
    // undici itself looks at the signal only when a connection stands.
    return { answer: await raceAbort(request, sending.signal), release };
  } catch (error) {
    request.then((late) => discard(late, () => {})).catch(() => {});
    release();
    throw error;
  }
}

function isRepeatable({ method, body }: Hop): boolean {
  return (method === "GET" || method === "HEAD") && body === undefined;
}
