import { mkdir, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type FolderLock, lockFolder } from "../../platform/lifetime.ts";
import { type Part, startPart } from "../dev/part.ts";
import type { Say } from "../say.ts";
import { LaunchError } from "../trouble/explain.ts";
import type { EdgeJob } from "./edge_process.ts";
import { dotenv, type EdgeSettings, TOP, varsFile, workerVars, wranglerCommand } from "./wrangler_command.ts";

/** What runs a local edge. */
export interface EdgeEngine {
  /** `wrangler dev`, instead of workerd under our own eyes. */
  readonly wrangler: boolean;
  /** Sources that change are picked up. wrangler always does that. */
  readonly watch: boolean;
}

/** A local edge that has its folder in `data` to itself until it is released. */
export interface LocalEdge {
  /** Starts its process; again, when the one before is gone. */
  start(): Part;
  release(): Promise<void>;
}

const RUNTIME = fileURLToPath(new URL("edge_process.ts", import.meta.url));
const WRANGLER = fileURLToPath(new URL("edge_keeper.ts", import.meta.url));
/** What bundles and runs the Worker. */
const TOOLS = ["esbuild", "miniflare", "smol-toml"];

/**
 * Makes a local edge ready to be started: this repository's Worker in workerd, on this machine. Throws `LaunchError` for
 * settings that do not fit, where another edge uses the folder, and where what runs it is not installed.
 */
export async function openLocalEdge(
  settings: EdgeSettings,
  engine: EdgeEngine,
  echo: Pick<Say, "raw" | "rawWarn">,
): Promise<LocalEdge> {
  // Thrown here, not in the process that is about to be started.
  const vars = workerVars(settings);
  if (engine.wrangler) wranglerCommand(settings);
  else demandTools();
  const folder = resolve(settings.data, "edge");
  await mkdir(folder, { recursive: true });
  const lock = takeFolder(folder);
  // Made anew, because an old file would keep its old mode.
  await rm(varsFile(settings.data), { force: true });
  if (engine.wrangler) await writeFile(varsFile(settings.data), dotenv(vars), { mode: 0o600 });
  const job: EdgeJob = { top: TOP, port: settings.port, vars, state: resolve(folder, "state"), watch: engine.watch };
  return {
    start: () =>
      engine.wrangler
        ? startPart({ script: WRANGLER, args: [settings.data, String(settings.port)], echo })
        : startPart({ script: RUNTIME, args: [], job, echo }),
    async release() {
      await rm(varsFile(settings.data), { force: true });
      lock.release();
    },
  };
}

/** They are for development: whoever serves from Cloudflare has installed without them. */
function demandTools(): void {
  for (const name of TOOLS) {
    try {
      import.meta.resolve(name);
    } catch (error) {
      const cure = "run `npm ci` (without --omit=dev), or run the origin alone";
      throw new LaunchError(`${name}, which a local edge needs, is not installed: ${cure}`, { cause: error });
    }
  }
}

function takeFolder(folder: string): FolderLock {
  try {
    return lockFolder(folder);
  } catch (error) {
    const why = (error as Error).message;
    throw new LaunchError(`cannot use the folder ${folder}: ${why}, or name another with --data`, { cause: error });
  }
}
