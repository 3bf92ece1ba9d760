import cluster, { type Worker } from "node:cluster";
import { availableParallelism } from "node:os";
import type { Config } from "../config/schema.ts";
import { type ManagedProcess, stopChild } from "./dev/managed_process.ts";
import { Supervisor } from "./dev/supervisor.ts";
import { originUrl } from "./dev/tier_health.ts";
import type { ServiceContext } from "./program.ts";
import { announce } from "./run_origin.ts";
import { loadSettings, originArguments, requireKeys, type SettingsOptions } from "./settings.ts";
import { CommandError } from "./trouble/describe_error.ts";
import { ORIGIN_PORT } from "./trouble/local_trouble.ts";
import { foldersOf, requireFolder, requirePort } from "./trouble/preflight.ts";
import { untilStopped } from "./until_stopped.ts";

/** An origin of several processes on one port: this one opens the port, keeps the others running and adds up their metrics. */

/** What running the workers of an origin needs from its process. */
export interface WorkersContext extends ServiceContext {
  /** The script that each worker runs. */
  readonly script: string;
  /** Serves the metrics of all workers; resolves with `undefined` if the configuration disables metrics. */
  readonly serveMetrics: (config: Config) => Promise<{ close(): Promise<void> } | undefined>;
  /** The parent process has printed the notes on the configuration already. */
  readonly quiet: boolean;
}

/** The variable that tells a worker its number, from 1 on. */
export const WORKER_NUMBER = "MXCDN_WORKER";

/** Longer than a worker gives requests under way, and than it takes to close. */
const STOP_MS = 19_000;

/** How many processes `--workers` means: 0 is one for each core. */
export function countWorkers(asked: number): number {
  return asked === 0 ? availableParallelism() : asked;
}

/** Throws `CommandError` if several processes are requested and the database is the embedded one. */
export function requireSharedDatabase(config: Config, asked: number): void {
  if (asked === 1 || config.database.postgres !== "") return;
  throw new CommandError(
    "--workers needs PostgreSQL: only one process can use the embedded database; set database.postgres, or leave --workers out",
  );
}

/**
 * Runs an origin of `count` workers until it is asked to end. A worker that has ended is started again while the others go on.
 * Resolves with the exit code; prints by itself why it cannot start.
 */
export async function runWorkers(options: SettingsOptions, asked: number, context: WorkersContext): Promise<number> {
  const { output, stop } = context;
  return await untilStopped(context, async (closers) => {
    const settings = await requireKeys(await loadSettings(options));
    const { config } = settings;
    requireSharedDatabase(config, asked);
    if (!context.quiet) announce(settings, output);
    const port = await requirePort(config.repo.bindAddress, config.repo.port, ORIGIN_PORT);
    for (const folder of foldersOf(config)) await requireFolder(folder);
    const metrics = await context.serveMetrics(config);
    if (metrics) closers.push(() => metrics.close());

    // Each worker accepts by itself: a connection handed to one that is killed at that moment would hang for good.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: context.script, args: originArguments({ ...options, port }) });
    const workers = Array.from({ length: countWorkers(asked) }, (_, index) => superviseWorker(index + 1, context));
    closers.push(() => Promise.all(workers.map((worker) => worker.stop(STOP_MS))));
    // The first one migrates the database. What keeps it from starting is said once.
    const [first, ...others] = workers;
    await first?.begin(stop);
    const url = originUrl({ bindAddress: config.repo.bindAddress, port });
    const begun = Promise.all(others.map((worker) => worker.begin(stop))).then(() => {
      if (!context.quiet) output.line(`the origin answers at ${url} (${workers.length} workers)`);
    });
    await Promise.all([first?.keep(stop), begun.then(() => Promise.all(others.map((worker) => worker.keep(stop))))]);
  });
}

function superviseWorker(number: number, { output, now }: WorkersContext): Supervisor {
  let listening: Promise<unknown> = Promise.resolve();
  return new Supervisor({
    ...{ name: `worker ${number}`, output, now },
    start() {
      const worker = cluster.fork({ [WORKER_NUMBER]: String(number) });
      listening = new Promise((resolve) => worker.once("listening", resolve));
      return managed(worker);
    },
    ready: () => listening,
  });
}

function managed(worker: Worker): ManagedProcess {
  const gone = new Promise<string>((resolve) => {
    worker.once("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
    worker.once("error", (error) => resolve(error.message));
  });
  return { gone, stop: (graceMs) => stopChild(worker.process, gone, graceMs) };
}
