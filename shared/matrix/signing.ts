import { canonicalJson } from "./canonical_json.ts";
import { decodeBase64 } from "./encoding.ts";

/** Verifies what other servers sign: keys, and the signatures of JSON objects. Only the origin signs. */

/** A key of WebCrypto; the name `CryptoKey` is global in only one of the two tiers' type sets. */
export type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** An object of the protocol, as parsed from JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The algorithm of all signatures of the protocol, as WebCrypto calls it. */
export const ED25519 = { name: "Ed25519" };
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** True for key ids that this code can use: `ed25519:` and a version of `[a-zA-Z0-9_]`. */
export function isSigningKeyId(keyId: string): boolean {
  return /^ed25519:[a-zA-Z0-9_]{1,200}$/.test(keyId);
}

/** The public key in base64 (padded or not) as a key to verify with; `undefined` unless it is 32 bytes. */
export async function importPublicKey(base64: string): Promise<SigningKey | undefined> {
  const bytes = decodeBase64(base64);
  if (bytes?.byteLength !== KEY_BYTES) return undefined;
  return await crypto.subtle.importKey("raw", bytes, ED25519, false, ["verify"]);
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

/** What a signature of an object covers. Throws `M_BAD_JSON` if it has no canonical form. */
export function signedBytes(object: JsonObject) {
  const { signatures: _, unsigned: __, ...signed } = object;
  return new TextEncoder().encode(canonicalJson(signed));
}

/** The value, if it is an object of the protocol. */
export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** What stands under a key of the object itself, if that is an object. */
export function ownObject(object: JsonObject, key: string): JsonObject | undefined {
  return Object.hasOwn(object, key) ? asObject(object[key]) : undefined;
}
