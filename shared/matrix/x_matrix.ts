import { MatrixError } from "./matrix_error.ts";
import { isServerName } from "./server_name.ts";
import { isSigningKeyId, type JsonObject, type SigningKey, verifyJson } from "./signing.ts";

/** Reading and verifying the credentials of federation requests. */

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

/** The object whose canonical form is signed. `content` appears only if the request has one. */
export function requestObject(request: FederationRequest): JsonObject {
  const { method, uri, origin, destination, content } = request;
  return content === undefined ? { method, uri, origin, destination } : { method, uri, origin, destination, content };
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

/** Who sent a federation request, by its own word: believed only once the signatures are verified. */
export interface ServerCredentials {
  /** Server that sent it. */
  readonly origin: string;
  /** Server it was meant for; absent where an old server leaves it out. */
  readonly destination: string | undefined;
  /** At least one, all of the same two servers and with keys of an algorithm that we know. */
  readonly signatures: readonly XMatrix[];
}

/** Longest header, in characters, all that there are together, and how many signatures one request may carry: none needs more than one or two. */
const MAX_HEADER = 8_192;
const MAX_SIGNATURES = 8;

/**
 * Reads the `Authorization` headers of a federation request, each as it came or several joined by commas. There may be more than
 * one X-Matrix header; they must agree on who asks whom (MSC4029). Headers of other schemes say nothing here.
 *
 * Errors: 401 `M_UNAUTHORIZED` where there is none, one is malformed, they disagree, or no key is of a known algorithm.
 */
export function readServerCredentials(headers: readonly string[]): ServerCredentials {
  // Together, as a proxy or the edge's runtime joins them.
  const length = headers.reduce((sum, header) => sum + header.length, 2 * (headers.length - 1));
  if (length > MAX_HEADER) throw unauthorized("Cannot read an Authorization header as long as this");
  const texts = headers.flatMap(splitHeader).filter((text) => /^x-matrix(?: |$)/i.test(text));
  if (texts.length === 0) throw unauthorized("Cannot answer without an X-Matrix signature");
  if (texts.length > MAX_SIGNATURES) throw unauthorized("Too many X-Matrix signatures");
  const all = texts.map(requireXMatrix);
  const { origin, destination } = all[0] as XMatrix;
  if (all.some((one) => one.origin !== origin || one.destination !== destination)) {
    throw unauthorized("The X-Matrix signatures are of different servers");
  }
  const signatures = all.filter((one) => isSigningKeyId(one.key));
  if (signatures.length === 0) throw unauthorized("The algorithm of the signing key is not known");
  return { origin, destination, signatures };
}

/**
 * Verifies every signature of a request. `findKey` finds the key under which the origin signs requests at this moment.
 *
 * Errors: 401 `M_UNAUTHORIZED` for a key that the origin does not have, a signature that is wrong, and an origin that is the
 * addressed server itself: none asks itself over the federation, so its keys are not even looked for. Whatever `findKey` throws.
 */
export async function verifySignatures(
  request: FederationRequest,
  credentials: ServerCredentials,
  findKey: (keyId: string) => Promise<SigningKey | undefined>,
): Promise<void> {
  if (request.origin === request.destination)
    throw unauthorized("The request says to be from the server that it is for");
  for (const signature of credentials.signatures) {
    const key = await findKey(signature.key);
    if (!key) throw unauthorized("The signing key is none that the requesting server has at present");
    if (!(await verifyRequest(request, signature, key))) throw unauthorized("The signature of the request is wrong");
  }
}

/** The answer to a federation request that is not proven to come from whom it says. */
export function unauthorized(message: string, cause?: unknown): MatrixError {
  return new MatrixError("M_UNAUTHORIZED", message, { cause });
}

function requireXMatrix(text: string): XMatrix {
  const parsed = parseXMatrix(text);
  if (!parsed) throw unauthorized("Cannot read the X-Matrix header");
  return parsed;
}

/** Credentials begin with a scheme and a blank; a parameter has no blank behind its name (RFC 9110, section 11.4). */
const NEXT_SCHEME = /^[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} +[^ \t=,]/;

/** Takes apart what a server or proxy between has joined: a comma outside quotes with other credentials behind it. */
function splitHeader(header: string): string[] {
  const texts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < header.length; at += 1) {
    const char = header[at];
    if (char === '"') quoted = !quoted;
    else if (char === "\\" && quoted) at += 1;
    else if (char === "," && !quoted && NEXT_SCHEME.test(header.slice(at + 1, at + 65))) {
      texts.push(header.slice(start, at).trim());
      start = at + 1;
    }
  }
  return [...texts, header.slice(start).trim()];
}
