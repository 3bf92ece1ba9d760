import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type FolderLock, lockFolder } from "../platform/folder_lock.ts";
import { LaunchError } from "./explain.ts";
import { type Part, startPart } from "./part.ts";
import type { Say } from "./say.ts";
import { type EdgeSettings, varsFile, workerVars, wranglerCommand } from "./wrangler_command.ts";

const KEEPER = fileURLToPath(new URL("edge_keeper.ts", import.meta.url));

/**
 * Starts a local edge: `wrangler dev` with this repository's Worker, which has the edge's folder in `data` to itself until it is
 * stopped. Throws `LaunchError` for settings that do not fit, and where another edge uses the folder.
 */
export async function startEdge(settings: EdgeSettings, echo: Pick<Say, "raw" | "rawWarn">): Promise<Part> {
  // Thrown here, not in the process that is about to be started.
  wranglerCommand(settings);
  const vars = workerVars(settings);
  const file = varsFile(settings.data);
  await mkdir(dirname(file), { recursive: true });
  const lock = takeFolder(dirname(file));
  // Made anew, because an old file would keep its old mode.
  await rm(file, { force: true });
  await writeFile(file, vars, { mode: 0o600 });
  const part = startPart("the edge", KEEPER, [settings.data, String(settings.port)], echo);
  const stop = async (graceMs: number) => {
    await part.stop(graceMs);
    await rm(file, { force: true });
    lock.release();
  };
  return { ...part, stop };
}

function takeFolder(folder: string): FolderLock {
  try {
    return lockFolder(folder);
  } catch (error) {
    const why = (error as Error).message;
    throw new LaunchError(`cannot use the folder ${folder}: ${why}, or name another with --data`, { cause: error });
  }
}
