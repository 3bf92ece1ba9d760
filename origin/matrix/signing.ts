import { decodeBase64, encodeUnpadded } from "../../shared/matrix/encoding.ts";
import {
  asObject,
  ED25519,
  type JsonObject,
  ownObject,
  type SigningKey,
  signedBytes,
} from "../../shared/matrix/signing.ts";
import { type FederationRequest, requestObject, type XMatrix } from "../../shared/matrix/x_matrix.ts";

/** Signing: the seed of our own key, objects, and requests to other servers. */

const KEY_BYTES = 32;

// The fixed beginning of every PKCS #8 form of an Ed25519 private key (RFC 8410, section 7); the seed follows.
const PKCS8_PREFIX = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** The key pair of a 32-byte Ed25519 seed: the private key to sign with and the public one in unpadded base64. */
export async function importSeed(seed: Uint8Array): Promise<{ privateKey: SigningKey; publicKey: string }> {
  if (seed.byteLength !== KEY_BYTES)
    throw new Error(`Cannot use a signing key of ${seed.byteLength} bytes: 32 are needed`);
  const pkcs8 = new Uint8Array(PKCS8_PREFIX.length + KEY_BYTES);
  pkcs8.set(PKCS8_PREFIX);
  pkcs8.set(seed, PKCS8_PREFIX.length);
  const exportable = await crypto.subtle.importKey("pkcs8", pkcs8, ED25519, true, ["sign"]);
  const { x } = (await crypto.subtle.exportKey("jwk", exportable)) as { x?: string };
  const publicKey = encodeUnpadded(decodeBase64(x ?? "") ?? new Uint8Array());
  return { privateKey: await crypto.subtle.importKey("pkcs8", pkcs8, ED25519, false, ["sign"]), publicKey };
}

/**
 * The object with one more signature by `entity` (specification, appendix "Signing Details"). What is signed leaves out
 * `signatures` and `unsigned`; both are kept in the result. Throws `M_BAD_JSON` if it has no canonical form.
 */
export async function signJson(
  object: JsonObject,
  entity: string,
  keyId: string,
  privateKey: SigningKey,
): Promise<Record<string, unknown>> {
  const signature = new Uint8Array(await crypto.subtle.sign(ED25519, privateKey, signedBytes(object)));
  const all = asObject(object.signatures) ?? {};
  const own = ownObject(all, entity) ?? {};
  return { ...object, signatures: { ...all, [entity]: { ...own, [keyId]: encodeUnpadded(signature) } } };
}

/** The header value as strict readers want it: one space, lower-case names, quotes, no blanks. */
export function formatXMatrix(credentials: Required<XMatrix>): string {
  const { origin, destination, key, sig } = credentials;
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key}",sig="${sig}"`;
}

/** Signs a request as `request.origin`: the value of its `Authorization` header. */
export async function signRequest(request: FederationRequest, keyId: string, privateKey: SigningKey): Promise<string> {
  const { origin, destination } = request;
  const signed = await signJson(requestObject(request), origin, keyId, privateKey);
  const signatures = signed.signatures as Record<string, Record<string, string>>;
  return formatXMatrix({ origin, destination, key: keyId, sig: signatures[origin]?.[keyId] ?? "" });
}
