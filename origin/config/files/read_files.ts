import { lstat, readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigError } from "../checks/config_error.ts";
import { whyUnreadable } from "./unreadable.ts";

/** The text of one file of the configuration. */
export interface ConfigText {
  readonly name: string;
  readonly text: string;
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** What a configuration consists of. */
export interface ConfigFiles {
  readonly texts: readonly ConfigText[];
  /** Files of the folder that an editor has left there: they are not read. */
  readonly leftOut: readonly string[];
}

/** What editors and people keep beside a file that they change. Read, it would win: most sort after the file itself. */
const BACKUP = /~$|^#.*#$|\.(?:bak|orig|sw[a-p])$/i;

/**
 * Reads the configuration at a path: one file, or all files of a folder (not of folders inside it) in the byte order of
 * their names. Names that start with a dot are left out: editors and Kubernetes put their own things there. So are editors'
 * backups, unlike in matrix-media-repo.
 *
 * Throws `ConfigError` where there is nothing, or something that cannot be read: without it a homeserver might be missing.
 */
export async function readConfigFiles(path: string): Promise<ConfigFiles> {
  if (!(await isFolder(path))) return { texts: [await readOne(path)], leftOut: [] };
  const names = (await reading(path, () => readdir(path))).filter((name) => !name.startsWith(".")).sort(byBytes);
  const found: { readonly file: string; readonly isBackup: boolean }[] = [];
  for (const name of names) {
    const file = join(path, name);
    if (await isFileIn(file)) found.push({ file, isBackup: BACKUP.test(name) });
  }
  const texts: ConfigText[] = [];
  for (const { file } of found.filter(({ isBackup }) => !isBackup)) texts.push(await readOne(file));
  if (texts.length === 0) throw unreadable(path, "is a folder without files; put the configuration there");
  return { texts, leftOut: found.flatMap(({ file, isBackup }) => (isBackup ? [file] : [])) };
}

async function isFolder(path: string): Promise<boolean> {
  const missing = "does not exist; name the configuration with --config FILE or REPO_CONFIG";
  if (!(await isThere(path))) throw unreadable(resolve(path), missing);
  return (await reading(path, () => stat(path))).isDirectory();
}

/** A name that was gone by the time we looked is no file of the folder any more; a link that leads nowhere is a mistake. */
async function isFileIn(file: string): Promise<boolean> {
  return (await isThere(file)) && (await reading(file, () => stat(file))).isFile();
}

async function isThere(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw cannotRead(file, error);
  }
}

async function readOne(file: string): Promise<ConfigText> {
  const { size } = await reading(file, () => stat(file));
  if (size > MAX_FILE_BYTES) throw unreadable(file, "is larger than 4 MiB: that is no configuration");
  return { name: file, text: await reading(file, () => readFile(file, "utf8")) };
}

async function reading<T>(file: string, work: () => Promise<T>): Promise<T> {
  return await work().catch((error: unknown) => {
    throw cannotRead(file, error);
  });
}

function cannotRead(file: string, error: unknown): ConfigError {
  const code = codeOf(error);
  return unreadable(file, `cannot be read (${code === "ENOENT" ? "it leads nowhere" : whyUnreadable(error)})`);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

function unreadable(file: string, message: string): ConfigError {
  return new ConfigError([{ file, line: 0, key: "", message }]);
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
