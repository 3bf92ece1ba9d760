import { readFile, writeFile } from "node:fs/promises";
import {
  generateSigningKey,
  readSigningKeys,
  type SigningKeyFormat,
  type SigningKeySeed,
  writeSigningKeys,
} from "../matrix/signing_keys.ts";
import type { Output } from "./program.ts";

/** `mxcdn signing-key generate` and `mxcdn signing-key combine`. */

/** The forms that key files come in: this repository's (matrix-media-repo's), Synapse's and Dendrite's. */
export const SIGNING_KEY_FORMATS = ["mmr", "synapse", "dendrite"] as const satisfies readonly SigningKeyFormat[];

/** Where keys are written to, and in which form. */
export interface SigningKeyOutput {
  readonly format: SigningKeyFormat;
  readonly output: string;
}

/**
 * `mxcdn signing-key generate`: a new key; with `input` the first key of that file, whatever its form. Resolves with the
 * exit code. The file is readable by its owner only, and one that is there is left alone: a key that is lost stays lost.
 */
export async function generateKey(
  to: SigningKeyOutput & { readonly input?: string | undefined },
  output: Output,
): Promise<number> {
  return await writingKeys(to, output, async () => {
    const read = to.input === undefined ? undefined : await readKeyFile(to.input);
    return [read?.[0] ?? generateSigningKey()];
  });
}

/** `mxcdn signing-key combine`: all keys of several files in one, in their order. Two of the same id are an error. */
export async function combineKeys(to: SigningKeyOutput, files: readonly string[], output: Output): Promise<number> {
  return await writingKeys(to, output, async () => (await Promise.all(files.map(readKeyFile))).flat());
}

async function writingKeys(
  to: SigningKeyOutput,
  output: Output,
  make: () => Promise<SigningKeySeed[]>,
): Promise<number> {
  try {
    const keys = await make();
    await writeFile(to.output, writeSigningKeys(keys, to.format), { flag: "wx", mode: 0o600 });
    output.raw(`${to.output}: ${keys.map((key) => key.keyId).join(", ")}\n`);
    return 0;
  } catch (error) {
    output.rawWarn(`mxcdn: ${explainKeyError(to.output, error)}\n`);
    return 1;
  }
}

async function readKeyFile(path: string): Promise<SigningKeySeed[]> {
  try {
    return readSigningKeys(await readFile(path, "utf8")).keys;
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function explainKeyError(output: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "EEXIST" ? `${output} is there already: name another file with --output` : message;
}
