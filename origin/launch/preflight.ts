import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Config } from "../config/schema.ts";
import { LaunchError } from "./explain.ts";

/** The folders that the origin of this configuration keeps things in, on this machine. */
export function foldersOf(config: Config): string[] {
  const stores = [config.datastores, ...[...config.domains.values()].map((domain) => domain.datastores)].flat();
  const folders = stores.flatMap((store) => (store.type === "file" ? [store.opts.path] : []));
  return [...new Set([...(config.database.postgres === "" ? [config.database.folder] : []), ...folders])];
}

/** Makes sure that a folder is there and can be written to. Throws `LaunchError`. */
export async function demandFolder(folder: string): Promise<void> {
  const probe = join(folder, `.mxcdn-${process.pid}`);
  try {
    await makeFolder(folder);
    await writeFile(probe, "");
    await rm(probe, { force: true });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new LaunchError(`cannot write to the folder ${folder} (${WHY[code] ?? code}); ${hint(code)}`, {
      cause: error,
    });
  }
}

/** Node's own `recursive` never ends where a folder cannot be made although its parent is there, as in /proc. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(folder)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder));
    await mkdir(folder);
  }
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left",
  ENOTDIR: "a file is in its way",
  EEXIST: "a file is in its way",
  ENOENT: "it cannot be made there",
};

function hint(code: string): string {
  if (code === "ENOTDIR" || code === "EEXIST") return "move that file away, or name another folder";
  return code === "ENOSPC" ? "make room there" : "make it writable for this user, or name another folder";
}

/**
 * Makes sure that nobody listens on a port yet. 0 finds a free one. Throws `LaunchError`, which says how to choose another.
 */
export async function demandPort(host: string, port: number, option: string): Promise<number> {
  try {
    return await listenOnce(host, port);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const remedy = code === "EADDRNOTAVAIL" ? "set `repo.bindAddress` to one that is" : `choose another with ${option}`;
    throw new LaunchError(`${portTrouble(code, host, port)}; ${remedy}`, { cause: error });
  }
}

function portTrouble(code: string, host: string, port: number): string {
  if (code === "EADDRINUSE") return `port ${port} is taken by another program: end that`;
  if (code === "EACCES") return `port ${port} is for the superuser only`;
  return code === "EADDRNOTAVAIL"
    ? `${host} is not an address of this machine`
    : `cannot listen on ${host}:${port} (${code})`;
}

function listenOnce(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const found = address !== null && typeof address === "object" ? address.port : port;
      server.close(() => resolve(found));
    });
  });
}
