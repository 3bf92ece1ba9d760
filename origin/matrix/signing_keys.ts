import { randomBytes, randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { decodeBase64, encodeUnpadded } from "../../shared/matrix/encoding.ts";
import { isSigningKeyId, type SigningKey } from "../../shared/matrix/signing.ts";
import { importSeed } from "./signing.ts";

/** The signing keys of our own server names, and the files that hold them. */

/** The file forms of matrix-media-repo, Dendrite and Synapse. All hold the 32-byte seed of an Ed25519 key. */
export type SigningKeyFormat = "mmr" | "dendrite" | "synapse";

/** A private signing key. */
export interface SigningKeySeed {
  /** `ed25519:` and the version. */
  readonly keyId: string;
  /** 32 secret bytes. */
  readonly seed: Uint8Array;
}

/** As whom requests are signed: one of our server names with a key that its homeserver publishes. */
export interface SigningIdentity {
  readonly serverName: string;
  readonly keyId: string;
  readonly privateKey: SigningKey;
}

/** The file has none of the three forms, or holds no usable key. The message names no secret. */
export class SigningKeyFileError extends Error {}

const SEED_BYTES = 32;
const VERSION_LENGTH = 6;
const VERSION_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const PEM_TYPES = { mmr: "MMR PRIVATE KEY", dendrite: "MATRIX PRIVATE KEY" } as const;
const PEM_BLOCK = /^-----BEGIN ([A-Z ]+)-----\n([\s\S]*?)-----END \1-----(?:\n|$)/;

/**
 * The identity that a key file (`signingKeyPath`, any of the three forms) gives one of our server names: its first key, as
 * in matrix-media-repo. Throws what the file system throws, or {@link SigningKeyFileError}.
 */
export async function loadSigningIdentity(path: string, serverName: string): Promise<SigningIdentity> {
  const [key] = readSigningKeys(await readFile(path, "utf8")).keys;
  if (!key) throw new SigningKeyFileError("The signing key file holds no key");
  const { privateKey } = await importSeed(key.seed);
  return { serverName, keyId: key.keyId, privateKey };
}

/**
 * The identities of all homeservers that have a signing key, by server name. Throws an Error that names the homeserver and the file
 * of a key that cannot be used.
 */
export async function loadIdentities(
  homeservers: Iterable<{ readonly name: string; readonly signingKeyPath: string }>,
): Promise<Map<string, SigningIdentity>> {
  const identities = new Map<string, SigningIdentity>();
  for (const { name, signingKeyPath } of homeservers) {
    if (signingKeyPath === "") continue;
    const identity = await loadSigningIdentity(signingKeyPath, name).catch((cause: Error) => {
      throw new Error(`Cannot use the signing key of ${name}, ${signingKeyPath}: ${cause.message}`, { cause });
    });
    identities.set(name, identity);
  }
  return identities;
}

/** A new key from the system's randomness, its version six random letters and digits. */
export function generateSigningKey(): SigningKeySeed {
  const version = Array.from({ length: VERSION_LENGTH }, () => VERSION_ALPHABET[randomInt(VERSION_ALPHABET.length)]);
  return { keyId: `ed25519:${version.join("")}`, seed: new Uint8Array(randomBytes(SEED_BYTES)) };
}

/** Every key of a file, in its order, and the form it was in. Throws {@link SigningKeyFileError} unless there is at least one. */
export function readSigningKeys(text: string): { format: SigningKeyFormat; keys: SigningKeySeed[] } {
  const plain = text.replaceAll("\r\n", "\n").trim();
  if (plain === "") throw new SigningKeyFileError("The signing key file is empty");
  if (!plain.startsWith("-----")) return { format: "synapse", keys: plain.split("\n").flatMap(readLine) };
  return readPem(plain);
}

/** The keys as a file of that form. Throws {@link SigningKeyFileError} if two have the same id. */
export function writeSigningKeys(keys: readonly SigningKeySeed[], format: SigningKeyFormat): string {
  const ids = new Set(keys.map((key) => key.keyId));
  if (ids.size < keys.length) throw new SigningKeyFileError("Two signing keys have the same id");
  if (format === "synapse") return keys.map(writeLine).join("\n");
  return keys.map((key) => writePem(key, format)).join("");
}

// Synapse: "ed25519 <version> <unpadded base64>", one key a line.
function readLine(line: string): SigningKeySeed[] {
  if (line.trim() === "") return [];
  const [algorithm, version, seed, ...rest] = line.trim().split(/\s+/);
  if (rest.length > 0 || seed === undefined)
    throw new SigningKeyFileError("A line of the signing key file is not a key");
  return [requireKey(`${algorithm}:${version}`, seed)];
}

function writeLine({ keyId, seed }: SigningKeySeed): string {
  return `${keyId.replace(":", " ")} ${encodeUnpadded(seed)}`;
}

function readPem(text: string): { format: SigningKeyFormat; keys: SigningKeySeed[] } {
  const blocks: { type: string; content: string }[] = [];
  for (let rest = text; rest !== ""; ) {
    const [whole, type = "", content = ""] = PEM_BLOCK.exec(rest) ?? [];
    if (whole === undefined) throw new SigningKeyFileError("The signing key file has something else between its keys");
    blocks.push({ type, content });
    rest = rest.slice(whole.length).trimStart();
  }
  for (const format of ["mmr", "dendrite"] as const) {
    const own = blocks.filter((block) => block.type === PEM_TYPES[format]);
    if (own.length > 0) return { format, keys: own.map((block) => readBlock(block.content)) };
  }
  throw new SigningKeyFileError("The signing key file holds no Matrix signing key");
}

function readBlock(content: string): SigningKeySeed {
  const lines = content.split("\n").map((line) => line.trim());
  const headers = new Map(lines.filter((line) => line.includes(":")).map(readPemHeader));
  const seed = lines.filter((line) => line !== "" && !line.includes(":")).join("");
  return requireKey(headers.get("key-id") ?? "", seed);
}

function readPemHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
}

function writePem({ keyId, seed }: SigningKeySeed, format: "mmr" | "dendrite"): string {
  const headers = format === "mmr" ? [`Key-ID: ${keyId}`, "Version: 1"] : [`Key-ID: ${keyId}`];
  const lines = [`-----BEGIN ${PEM_TYPES[format]}-----`, ...headers, "", Buffer.from(seed).toString("base64")];
  return `${lines.join("\n")}\n-----END ${PEM_TYPES[format]}-----\n`;
}

function requireKey(keyId: string, base64: string): SigningKeySeed {
  if (!isSigningKeyId(keyId)) throw new SigningKeyFileError("A key of the signing key file has no usable id");
  const seed = decodeBase64(base64);
  if (seed?.byteLength !== SEED_BYTES) throw new SigningKeyFileError(`The signing key ${keyId} has not 32 bytes`);
  return { keyId, seed };
}
