import { isServerName } from "./server_name.ts";
import { isSigningKeyId, type JsonObject, type SigningKey, signJson, verifyJson } from "./sign_json.ts";

/** The credentials of a federation request (Server-Server API, "Request Authentication"). */
export interface XMatrix {
  /** Server that sent the request. */
  origin: string;
  /** Server it was meant for; servers older than 1.3 leave it out. */
  destination?: string;
  /** Key id, such as `ed25519:1`. */
  key: string;
  /** Signature in base64. */
  sig: string;
}

/** What the signature of a federation request covers. */
export interface FederationRequest {
  /** Upper-case HTTP method. */
  method: string;
  /** Path and query exactly as on the request line. */
  uri: string;
  /** Server names from before any delegation. */
  origin: string;
  destination: string;
  /** The parsed JSON body; absent for a request without body, which is not the same as `{}`. */
  content?: unknown;
}

const SCHEME = /^x-matrix +/i;
// RFC 9110, section 5.6.2; values may also carry ":", which older servers send without quotes.
const NAME = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const BARE_VALUE = /[!#$%&'*+\-.^_`|~0-9A-Za-z:]+/y;
const QUOTED_VALUE = /"((?:[^"\\]|\\.)*)"/y;
const SEPARATOR = /[ \t]*,[ \t]*/y;

/**
 * Reads an `Authorization` header by the grammar of the specification: names in any case and order, blanks around commas,
 * quoted and bare values, escapes undone, unknown names ignored. `undefined` for another scheme, anything malformed, a name
 * given twice, an origin or destination that is no server name, or a missing origin, key or signature.
 */
export function parseXMatrix(header: string): XMatrix | undefined {
  const scheme = SCHEME.exec(header);
  if (!scheme) return undefined;
  const parameters = parseParameters(header.slice(scheme[0].length).trimEnd());
  const origin = parameters?.get("origin");
  const destination = parameters?.get("destination");
  const key = parameters?.get("key");
  const sig = parameters?.get("sig");
  if (!origin || !key || !sig || !isServerName(origin)) return undefined;
  if (destination === undefined) return { origin, key, sig };
  return isServerName(destination) ? { origin, destination, key, sig } : undefined;
}

function parseParameters(text: string): Map<string, string> | undefined {
  const parameters = new Map<string, string>();
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  do {
    const name = take(NAME)?.[0].toLowerCase();
    if (name === undefined || text[at++] !== "=" || parameters.has(name)) return undefined;
    const value = take(QUOTED_VALUE)?.[1]?.replace(/\\(.)/g, "$1") ?? take(BARE_VALUE)?.[0];
    if (value === undefined) return undefined;
    parameters.set(name, value);
  } while (take(SEPARATOR));
  return at === text.length ? parameters : undefined;
}

/** The header value as strict readers want it: one space, lower-case names, quotes, no blanks. */
export function formatXMatrix(credentials: Required<XMatrix>): string {
  const { origin, destination, key, sig } = credentials;
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key}",sig="${sig}"`;
}

/** The object whose canonical form is signed. `content` appears only if the request has one. */
export function requestObject(request: FederationRequest): JsonObject {
  const { method, uri, origin, destination, content } = request;
  return content === undefined ? { method, uri, origin, destination } : { method, uri, origin, destination, content };
}

/** Signs a request as `request.origin`: the value of its `Authorization` header. */
export async function signRequest(request: FederationRequest, keyId: string, privateKey: SigningKey): Promise<string> {
  const { origin, destination } = request;
  const signed = await signJson(requestObject(request), origin, keyId, privateKey);
  const signatures = signed.signatures as Record<string, Record<string, string>>;
  return formatXMatrix({ origin, destination, key: keyId, sig: signatures[origin]?.[keyId] ?? "" });
}

/**
 * True if these credentials sign this request. `request.origin` and `.destination` are taken from our own view of the
 * request: the origin of the credentials, and their destination or, where they have none, our own name. The caller has
 * found `publicKey` under `credentials.key` in the origin's present `verify_keys`; algorithms other than ed25519 are false.
 */
export async function verifyRequest(
  request: FederationRequest,
  credentials: XMatrix,
  publicKey: SigningKey,
): Promise<boolean> {
  const { origin, key, sig } = credentials;
  if (request.origin !== origin || (credentials.destination ?? request.destination) !== request.destination)
    return false;
  if (!isSigningKeyId(key)) return false;
  const signatures = { [origin]: { [key]: sig } };
  return await verifyJson({ ...requestObject(request), signatures }, origin, key, publicKey);
}
