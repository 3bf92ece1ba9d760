import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Config } from "../../config/schema.ts";
import { codeOf } from "./connection_trouble.ts";
import { LaunchError } from "./explain.ts";
import { folderTrouble } from "./folder_trouble.ts";
import { METRICS_PORT, ORIGIN_PORT, type PortKeys, portTrouble } from "./port_trouble.ts";

/** The folders that the origin of this configuration keeps things in, on this machine. */
export function foldersOf(config: Config): string[] {
  const stores = [config.datastores, ...[...config.domains.values()].map((domain) => domain.datastores)].flat();
  const folders = stores.map(({ type, opts }) => (type === "file" ? opts.path : opts.tempPath || tmpdir()));
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
    const code = codeOf(error) ?? String(error);
    const { why, cure } = folderTrouble(code) ?? { why: code, cure: "make it writable, or name another folder" };
    throw new LaunchError(`cannot write to the folder ${folder} (${why}); ${cure}`, { cause: error });
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

/**
 * Makes sure that nobody listens on a port yet. 0 finds a free one. Throws `LaunchError`, which says by what to choose another.
 */
export async function demandPort(host: string, port: number, keys: PortKeys): Promise<number> {
  try {
    return await listenOnce(host, port);
  } catch (error) {
    const { why, cure } = portTrouble(error, keys) ?? { why: codeOf(error), cure: `see \`${keys.address}\`` };
    throw new LaunchError(`cannot listen on ${host}:${port}: ${why}; ${cure}`, { cause: error });
  }
}

/** Makes sure that nobody listens yet where the origin of this configuration is to answer. Throws `LaunchError`. */
export async function demandPorts({ repo, metrics }: Config): Promise<void> {
  await demandPort(repo.bindAddress, repo.port, ORIGIN_PORT);
  if (metrics.enabled) await demandPort(metrics.bindAddress, metrics.port, METRICS_PORT);
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
