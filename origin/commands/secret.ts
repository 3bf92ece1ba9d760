import { randomBytes } from "node:crypto";

/** A secret that nobody guesses: 256 bits, in 43 characters that need no quoting anywhere. */
export function makeSecret(): string {
  return randomBytes(32).toString("base64url");
}
