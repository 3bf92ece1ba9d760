import { mkdir, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type FolderLock, lockFolder } from "../../platform/lifetime.ts";
import { type ManagedProcess, startProcess } from "../dev/managed_process.ts";
import { Supervisor } from "../dev/supervisor.ts";
import { waitUntilReady, waitUntilSilent } from "../dev/tier_health.ts";
import type { Output } from "../program.ts";
import { CommandError } from "../trouble/describe_error.ts";
import type { EdgeJob } from "./edge_process.ts";
import { dotenv, type EdgeSettings, TOP, varsFile, workerVars, wranglerCommand } from "./wrangler_command.ts";

/** The local edge seen from the process that supervises it: takes its folder, and starts workerd or wrangler as a child process. */

/** What runs a local edge. */
export interface EdgeEngine {
  /** `wrangler dev`, instead of workerd as a child process. */
  readonly wrangler: boolean;
  /** Changed sources are bundled again. wrangler always does that. */
  readonly watch: boolean;
}

/** A local edge that holds the lock of its folder in `data` until `release`. */
export interface LocalEdge {
  /** Starts its process. May be called again when the previous process is gone. */
  start(): ManagedProcess;
  release(): Promise<void>;
}

const RUNTIME = fileURLToPath(new URL("edge_process.ts", import.meta.url));
const WRANGLER = fileURLToPath(new URL("wrangler_supervisor.ts", import.meta.url));
/** What bundles and runs the Worker. */
const TOOLS = ["esbuild", "miniflare", "smol-toml"];

/**
 * Makes a local edge ready to be started: this repository's Worker in workerd, on this machine. Throws `CommandError` for
 * invalid settings, if another edge uses the folder, and if the packages that run it are not installed.
 */
export async function openLocalEdge(
  settings: EdgeSettings,
  engine: EdgeEngine,
  echo: Pick<Output, "raw" | "rawWarn">,
): Promise<LocalEdge> {
  // Checked here, so that the error is thrown here and not in the child process.
  const vars = workerVars(settings);
  if (engine.wrangler) wranglerCommand(settings);
  else requireTools();
  const folder = resolve(settings.data, "edge");
  await mkdir(folder, { recursive: true });
  const lock = takeFolder(folder);
  // Created again, because an existing file would keep its mode.
  await rm(varsFile(settings.data), { force: true });
  if (engine.wrangler) await writeFile(varsFile(settings.data), dotenv(vars), { mode: 0o600 });
  const job: EdgeJob = { top: TOP, port: settings.port, vars, state: resolve(folder, "state"), watch: engine.watch };
  return {
    start: () =>
      engine.wrangler
        ? startProcess({ script: WRANGLER, args: [settings.data, String(settings.port)], echo })
        : startProcess({ script: RUNTIME, args: [], job, echo }),
    async release() {
      await rm(varsFile(settings.data), { force: true });
      lock.release();
    },
  };
}

/** They are development dependencies: an installation for production leaves them out. */
function requireTools(): void {
  for (const name of TOOLS) {
    try {
      import.meta.resolve(name);
    } catch (error) {
      const cure = "run `npm ci` (without --omit=dev), or run the origin alone";
      throw new CommandError(`${name}, which a local edge needs, is not installed: ${cure}`, { cause: error });
    }
  }
}

function takeFolder(folder: string): FolderLock {
  try {
    return lockFolder(folder);
  } catch (error) {
    const why = (error as Error).message;
    throw new CommandError(`cannot use the folder ${folder}: ${why}, or name another with --data`, { cause: error });
  }
}

/** A path whose preflight the edge answers without the origin. */
const ANSWERED_BY_THE_EDGE = "/_matrix/media/v3/config";

/** Supervises the process of a local edge that answers at `url`. */
export function superviseEdge(
  url: string,
  edge: LocalEdge,
  { wrangler }: EdgeEngine,
  { output, now }: { readonly output: Output; readonly now: () => number },
): Supervisor {
  const probe = `${url}${ANSWERED_BY_THE_EDGE}`;
  return new Supervisor({
    ...{ name: "the edge", output, now },
    start: () => edge.start(),
    // Any status is an answer: without an origin the edge answers 502.
    ready: (signal) => waitUntilReady(probe, signal, () => true),
    // wrangler does not notice when its workerd dies.
    ...(wrangler ? { silent: (signal: AbortSignal) => waitUntilSilent(probe, signal) } : {}),
  });
}
