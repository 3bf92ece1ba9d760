import { readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where a datastore keeps the file by which its place is known again. */
const OWN = "/.mxcdn/";

/** Every file below a folder, by its path, but for a datastore's own. A folder that is not there has none. */
export async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.filter((path) => !path.includes(OWN));
}

/** Gives a file another content at once: whoever reads it meanwhile sees the old or the new, and nothing cut short. */
export async function replaceFile(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}
