import { toHex } from "../matrix/encoding.ts";

/** What the edge and the origin say to each other over HTTP: paths, the signature of a hop, and the end of a body. */

/** Everything beneath this is between the two tiers. For anybody else it does not exist: 404 `M_UNRECOGNIZED`. */
export const HOP_PREFIX = "/_mxcdn/";

/** What the edge asks the origin, each time by a signed hop. */
export const HOP_PATHS = {
  /** `POST`: what is an access token worth? */
  verdict: `${HOP_PREFIX}v1/verdict`,
  /** `GET`: whose is the host of this hop, and how is media served there? */
  domain: `${HOP_PREFIX}v1/domain`,
  /**
   * Any method: the client's own request, whose path stands in the signed target only. A URL could not carry it as it is: the
   * URL standard would resolve encoded dot segments in it, or turn a backslash into a slash.
   */
  forward: `${HOP_PREFIX}v1/forward`,
} as const;

/** A request on its way from the edge to the origin, as the edge saw it. */
export interface Hop {
  /** Upper-case HTTP method. */
  method: string;
  /** Raw path and query as the client sent them; federation signatures cover these bytes. */
  target: string;
  /** The `Host` the client asked for. */
  host: string;
  /** Address of the client, without port. */
  clientAddress: string;
  /** Shared by the logs of both tiers. */
  requestId: string;
  /** When the edge signed it, in milliseconds. */
  timeMs: number;
}

/** Names of the headers that carry a hop. */
export const HOP_HEADERS = {
  signature: "mxcdn-hop",
  target: "mxcdn-target",
  requestId: "mxcdn-request-id",
  host: "x-forwarded-host",
  client: "x-forwarded-for",
} as const;

/** How far the clocks of the two tiers may differ, and so for how long a signed hop may be replayed, in milliseconds. */
export const HOP_MAX_AGE_MS = 60_000;

/**
 * Why a hop is not believed: a part is missing or malformed (`form`); another secret, or changed on the way (`signature`);
 * signed too long before or after (`age`), by the verifier's clock; or signed for another request (`target`).
 */
export type HopRefusal = "form" | "signature" | "age" | "target";

/** With the reason, on the answer to a request whose hop was not believed: tells our edge that not the client was meant. */
export const HOP_REFUSED_HEADER = "mxcdn-hop-refused";

const SIGNATURE = /^v1,t=(\d{1,16}),sig=([0-9a-f]{64})$/;

/** The headers that make a request a signed hop. The secret must not be empty. */
export async function hopHeaders(secret: string, hop: Hop): Promise<Record<string, string>> {
  const signature = await crypto.subtle.sign("HMAC", await importSecret(secret), signedBytes(hop));
  return {
    [HOP_HEADERS.signature]: `v1,t=${hop.timeMs},sig=${toHex(new Uint8Array(signature))}`,
    [HOP_HEADERS.target]: hop.target,
    [HOP_HEADERS.requestId]: hop.requestId,
    [HOP_HEADERS.host]: hop.host,
    [HOP_HEADERS.client]: hop.clientAddress,
  };
}

/**
 * The hop that these headers prove, or why they prove none: no or another form, another secret, another method, anything
 * changed on the way, or signed more than a minute before or after `nowMs`. `headers` is asked with lower-case names.
 *
 * A proxy between the tiers may append itself to the forwarding lists: the first entry of each is the one that was signed.
 */
export async function verifyHop(
  secret: string,
  method: string,
  headers: (name: string) => string | undefined,
  nowMs: number,
): Promise<Hop | HopRefusal> {
  const [, timeMs, signature] = SIGNATURE.exec(headers(HOP_HEADERS.signature) ?? "") ?? [];
  const hop = readHop(method, headers, Number(timeMs));
  if (!hop || signature === undefined) return "form";
  if (secret === "" || !(await isSigned(secret, hop, signature))) return "signature";
  return Math.abs(nowMs - hop.timeMs) <= HOP_MAX_AGE_MS ? hop : "age";
}

async function isSigned(secret: string, hop: Hop, signature: string): Promise<boolean> {
  return await crypto.subtle.verify("HMAC", await importSecret(secret), fromHex(signature), signedBytes(hop));
}

function readHop(method: string, headers: (name: string) => string | undefined, timeMs: number): Hop | undefined {
  const target = headers(HOP_HEADERS.target);
  const host = first(headers(HOP_HEADERS.host));
  const clientAddress = first(headers(HOP_HEADERS.client));
  const requestId = headers(HOP_HEADERS.requestId);
  if (target === undefined || host === undefined || clientAddress === undefined || requestId === undefined) {
    return undefined;
  }
  return { method, target, host, clientAddress, requestId, timeMs };
}

function first(list: string | undefined): string | undefined {
  return list?.split(",", 1)[0]?.trim();
}

// A JSON array, because no value can then borrow characters from its neighbour.
function signedBytes(hop: Hop) {
  const { method, target, host, clientAddress, requestId, timeMs } = hop;
  return new TextEncoder().encode(
    JSON.stringify(["mxcdn-hop-v1", method, target, host, clientAddress, requestId, timeMs]),
  );
}

function importSecret(secret: string) {
  const bytes = new TextEncoder().encode(secret);
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/**
 * The header that tells which bytes follow the body.
 *
 * How the origin knows that a body of unknown length is whole when it comes from the edge. The Worker's runtime ends a chunked
 * body that it sends in good order also where the client's broke (a chunk that cannot be read, a connection that was closed),
 * so the last chunk proves nothing. The edge adds a word to the body when it has read the client's to its end, and tells the
 * word in a header before; the client does not know it.
 */
export const BODY_END_HEADER = "mxcdn-body-end";

/** The bytes of the word that {@link BODY_END_HEADER} tells. */
export function bodyEndBytes(word: string): Uint8Array {
  return new TextEncoder().encode(word);
}
