import { decodeBase64, encodeUnpadded } from "./base64.ts";
import { canonicalJson } from "./canonical_json.ts";

/** A key of WebCrypto; the name `CryptoKey` is global in only one of the two tiers' type sets. */
export type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** An object of the protocol, as parsed from JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

const ED25519 = { name: "Ed25519" };
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

// The fixed beginning of every PKCS #8 form of an Ed25519 private key (RFC 8410, section 7); the seed follows.
const PKCS8_PREFIX = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** True for key ids that this code can use: `ed25519:` and a version of `[a-zA-Z0-9_]`. */
export function isSigningKeyId(keyId: string): boolean {
  return /^ed25519:[a-zA-Z0-9_]{1,200}$/.test(keyId);
}

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

/** The public key in base64 (padded or not) as a key to verify with; `undefined` unless it is 32 bytes. */
export async function importPublicKey(base64: string): Promise<SigningKey | undefined> {
  const bytes = decodeBase64(base64);
  if (bytes?.byteLength !== KEY_BYTES) return undefined;
  return await crypto.subtle.importKey("raw", bytes, ED25519, false, ["verify"]);
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

/**
 * True if the object carries a good signature by `entity` with that key (appendix "Checking for a Signature"). A missing or
 * malformed signature, or an object without canonical form, is false; nothing is thrown.
 */
export async function verifyJson(
  object: JsonObject,
  entity: string,
  keyId: string,
  publicKey: SigningKey,
): Promise<boolean> {
  const signature = ownObject(asObject(object.signatures) ?? {}, entity)?.[keyId];
  const bytes = typeof signature === "string" ? decodeBase64(signature) : undefined;
  if (bytes?.byteLength !== SIGNATURE_BYTES) return false;
  try {
    return await crypto.subtle.verify(ED25519, publicKey, bytes, signedBytes(object));
  } catch {
    return false;
  }
}

function signedBytes(object: JsonObject) {
  const { signatures: _, unsigned: __, ...signed } = object;
  return new TextEncoder().encode(canonicalJson(signed));
}

function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

function ownObject(object: JsonObject, key: string): JsonObject | undefined {
  return Object.hasOwn(object, key) ? asObject(object[key]) : undefined;
}
