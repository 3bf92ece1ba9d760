import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "./config_error.ts";

/** The text of one file of the configuration. */
export interface ConfigText {
  readonly name: string;
  readonly text: string;
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * Reads the configuration at a path: one file, or all files of a folder (not of folders inside it) in the byte order of
 * their names. Names that start with a dot are left out: editors and Kubernetes put their own things there.
 *
 * Throws `ConfigError` where there is nothing, or nothing that can be read.
 */
export async function readConfigFiles(path: string): Promise<ConfigText[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw unreadable(path, "does not exist; name the configuration with --config FILE or REPO_CONFIG");
  if (!found.isDirectory()) return [await readOne(path)];
  const names = (await readdir(path)).filter((name) => !name.startsWith(".")).sort(byBytes);
  const texts: ConfigText[] = [];
  for (const name of names) {
    const file = join(path, name);
    if ((await stat(file).catch(() => undefined))?.isFile()) texts.push(await readOne(file));
  }
  if (texts.length === 0) throw unreadable(path, "is a folder without files; put the configuration there");
  return texts;
}

async function readOne(file: string): Promise<ConfigText> {
  const { size } = await stat(file);
  if (size > MAX_FILE_BYTES) throw unreadable(file, "is larger than 4 MiB: that is no configuration");
  try {
    return { name: file, text: await readFile(file, "utf8") };
  } catch (error) {
    throw unreadable(file, `cannot be read (${error instanceof Error && "code" in error ? error.code : error})`);
  }
}

function unreadable(file: string, message: string): ConfigError {
  return new ConfigError([{ file, line: 0, key: "", message }]);
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
