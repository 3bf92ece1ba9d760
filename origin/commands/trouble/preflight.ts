import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Config } from "../../config/schema.ts";
import { codeOf } from "./connection_trouble.ts";
import { CommandError } from "./describe_error.ts";
import { folderTrouble, METRICS_PORT, ORIGIN_PORT, type PortKeys, portTrouble } from "./local_trouble.ts";

/** Checks before the start that the ports and folders of a configuration can be used. */

/** The local folders that an origin with this configuration writes to. */
export function foldersOf(config: Config): string[] {
  const stores = [config.datastores, ...[...config.domains.values()].map((domain) => domain.datastores)].flat();
  const folders = stores.map(({ type, opts }) => (type === "file" ? opts.path : opts.tempPath || tmpdir()));
  return [...new Set([...(config.database.postgres === "" ? [config.database.folder] : []), ...folders])];
}

/** Requires a folder that can be written to; creates it if it is missing. Throws `CommandError`. */
export async function requireFolder(folder: string): Promise<void> {
  const probe = join(folder, `.mxcdn-${process.pid}`);
  try {
    await makeFolder(folder);
    await writeFile(probe, "");
    await rm(probe, { force: true });
  } catch (error) {
    const code = codeOf(error) ?? String(error);
    const { why, cure } = folderTrouble(code) ?? { why: code, cure: "make it writable, or name another folder" };
    throw new CommandError(`cannot write to the folder ${folder} (${why}); ${cure}`, { cause: error });
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
 * Requires that a port is free; 0 finds a free one. Throws `CommandError`, which names the option that chooses another.
 */
export async function requirePort(host: string, port: number, keys: PortKeys): Promise<number> {
  try {
    return await listenOnce(host, port);
  } catch (error) {
    const { why, cure } = portTrouble(error, keys) ?? { why: codeOf(error), cure: `see \`${keys.address}\`` };
    throw new CommandError(`cannot listen on ${host}:${port}: ${why}; ${cure}`, { cause: error });
  }
}

/** Requires that the ports of an origin with this configuration are free. Throws `CommandError`. */
export async function requirePorts({ repo, metrics }: Config): Promise<void> {
  await requirePort(repo.bindAddress, repo.port, ORIGIN_PORT);
  if (metrics.enabled) await requirePort(metrics.bindAddress, metrics.port, METRICS_PORT);
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
