/** Bytes as text: base64 as Matrix writes it, and hexadecimal digits. */

/**
 * Standard base64 without padding, as Matrix writes keys and signatures (appendix "Unpadded Base64"). For small values.
 */
export function encodeUnpadded(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/=+$/, "");
}

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * The bytes of a base64 text: standard or URL-safe alphabet, padded or not, as other servers write either. `undefined` for
 * anything else, white space and wrong padding included.
 */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!BASE64.test(text)) return undefined;
  const bare = text.replace(/=+$/, "");
  const padding = text.length - bare.length;
  if (bare.length % 4 === 1 || (padding > 0 && text.length % 4 !== 0)) return undefined;
  const binary = atob(bare.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** Two lower-case hexadecimal digits for each byte. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
