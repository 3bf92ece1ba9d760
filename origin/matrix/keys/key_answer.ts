import * as z from "zod";
import { importPublicKey, isSigningKeyId, verifyJson } from "../../../shared/matrix/signing.ts";
import { parseDocument } from "../../../shared/tiers/parse_document.ts";

/** The keys by which a server signs requests now. */
export interface KeySet {
  readonly serverName: string;
  /** Public keys in base64, by key id. */
  readonly keys: Readonly<Record<string, string>>;
  readonly fetchedAtMs: number;
  /** None of the keys may be used from this time on. */
  readonly validUntilMs: number;
}

/** A key set that is kept, with its place in the order of what is known of its server. */
export interface KeptKeys extends KeySet {
  /** Drawn before its server was asked: of two sets the one with the larger generation is true. */
  readonly generation: number;
}

/** A server's answer about its keys cannot be used: it is an error, or has another form. */
export class KeyAnswerError extends Error {}

/** The keys of a document that was fetched prove nothing: it is about another server, has expired, or is not signed as it must be. */
export class KeysRefusedError extends KeyAnswerError {}

/** Keys are good for at most a week from when they were fetched, whatever their server says (Server-Server API, `valid_until_ts`). */
const MAX_VALIDITY_MS = 7 * 24 * 3_600_000;
const MAX_KEYS = 32;
/** The clocks of two processes may differ. */
const MAX_SKEW_MS = 60_000;

const schema = z.object({
  server_name: z.string(),
  valid_until_ts: z.number(),
  verify_keys: z.record(z.string(), z.object({ key: z.string() })),
});

/**
 * Reads the answer to `GET /_matrix/key/v2/server`, or one entry of a notary's: it must be about that server, still valid,
 * and a key counts only if it signed the answer itself. `old_verify_keys` never count: they are for old events. Throws
 * {@link KeysRefusedError} if no key is left, and {@link KeyAnswerError} for an answer of another form.
 */
export async function readKeyAnswer(answer: unknown, serverName: string, nowMs: number): Promise<KeySet> {
  const { success, data } = schema.safeParse(answer);
  if (!success) throw new KeyAnswerError("The key answer has not the expected form");
  if (data.server_name !== serverName) throw new KeysRefusedError("The key answer is about another server");
  if (data.valid_until_ts <= nowMs) throw new KeysRefusedError("The keys are no longer valid");
  const keys: Record<string, string> = {};
  for (const [keyId, { key }] of Object.entries(data.verify_keys).slice(0, MAX_KEYS)) {
    if (await signsItself(answer as Record<string, unknown>, serverName, keyId, key)) keys[keyId] = key;
  }
  if (Object.keys(keys).length === 0) throw new KeysRefusedError("The key answer is not signed by any of its own keys");
  return { serverName, keys, fetchedAtMs: nowMs, validUntilMs: Math.min(data.valid_until_ts, nowMs + MAX_VALIDITY_MS) };
}

async function signsItself(
  answer: Record<string, unknown>,
  serverName: string,
  keyId: string,
  base64: string,
): Promise<boolean> {
  const publicKey = isSigningKeyId(keyId) ? await importPublicKey(base64) : undefined;
  return publicKey !== undefined && (await verifyJson(answer, serverName, keyId, publicKey));
}

const keptSchema = z.object({
  serverName: z.string(),
  keys: z.record(z.string(), z.string()),
  fetchedAtMs: z.number(),
  validUntilMs: z.number(),
  generation: z.int().nonnegative(),
});

/**
 * Reads what was kept outside this process, where anybody may have written it: `undefined` for what has another form, is about
 * another server, or is said to be good for longer than any key is.
 */
export function readKeptKeys(text: string, serverName: string, nowMs: number): KeptKeys | undefined {
  const data = parseDocument(keptSchema, text);
  const isSound = data?.serverName === serverName && data.fetchedAtMs <= nowMs + MAX_SKEW_MS;
  return isSound && data.validUntilMs <= data.fetchedAtMs + MAX_VALIDITY_MS ? data : undefined;
}

/** The entries of a notary's answer (`server_keys`), unchecked. */
export function readNotaryAnswer(answer: unknown): unknown[] {
  const { success, data } = z.object({ server_keys: z.array(z.unknown()).max(100) }).safeParse(answer);
  if (!success) throw new KeyAnswerError("The notary's answer has not the expected form");
  return data.server_keys;
}

/** True if one of the keys of `notary` signed the entry. */
export async function isCountersigned(entry: unknown, notary: KeySet): Promise<boolean> {
  for (const [keyId, base64] of Object.entries(notary.keys)) {
    const publicKey = await importPublicKey(base64);
    if (publicKey && (await verifyJson(entry as Record<string, unknown>, notary.serverName, keyId, publicKey)))
      return true;
  }
  return false;
}
