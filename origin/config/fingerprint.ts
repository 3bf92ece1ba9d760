import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ConfigError } from "./checks/config_error.ts";
import { isMapping } from "./files/merge.ts";
import { type ConfigText, readConfigFiles } from "./files/read_files.ts";
import { parseSourceFile, type Raw } from "./files/source_file.ts";

/**
 * What the files of a configuration hold, and the signing keys that they name, as a hash; what keeps them from being read counts
 * as their contents.
 */
export async function fingerprint(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    const { texts } = await readConfigFiles(path);
    for (const { name, text } of texts) hash.update(JSON.stringify([name, text]));
    for (const file of texts.flatMap(keyFilesOf)) hash.update(JSON.stringify([file, await contentsOf(file)]));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    hash.update(error.message);
  }
  return hash.digest("hex");
}

/** A file that is broken names none: that it is, everybody hears who loads it. */
function keyFilesOf({ name, text }: ConfigText): string[] {
  try {
    const { value } = parseSourceFile(name, text);
    const entries: Raw[] = Array.isArray(value.homeservers) ? value.homeservers.filter(isMapping) : [];
    return [value, ...entries].map((one) => one.signingKeyPath).filter((one) => typeof one === "string");
  } catch (error) {
    if (error instanceof ConfigError) return [];
    throw error;
  }
}

async function contentsOf(file: string): Promise<string> {
  return await readFile(file, "hex").catch((error: NodeJS.ErrnoException) => `${error.code}`);
}
