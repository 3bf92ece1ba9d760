import cluster, { type Worker } from "node:cluster";
import { availableParallelism } from "node:os";
import type { Config } from "../config/schema.ts";
import { demandKeys } from "./demand_keys.ts";
import { originUrl } from "./dev/addresses.ts";
import type { Part } from "./dev/part.ts";
import { Supervised } from "./dev/supervised.ts";
import { announce } from "./run_origin.ts";
import type { Say } from "./say.ts";
import { type LaunchOptions, loadSettings } from "./settings.ts";
import { explain, LaunchError } from "./trouble/explain.ts";
import { ORIGIN_PORT } from "./trouble/port_trouble.ts";
import { demandFolder, demandPort, foldersOf } from "./trouble/preflight.ts";

/** An origin of several processes on one port: this one opens the port, keeps the others running and adds up their metrics. */

/** What running the workers of an origin needs from outside. */
export interface WorkersParts {
  /** The script that each worker runs, and its arguments but for the port. */
  readonly script: string;
  readonly args: readonly string[];
  /** Starts to serve the metrics of all workers; nothing where the configuration wants no metrics. */
  readonly serveMetrics: (config: Config) => Promise<{ close(): Promise<void> } | undefined>;
  readonly say: Say;
  readonly makeSecret: () => string;
  readonly stop: AbortSignal;
  /** Milliseconds; only differences matter. */
  readonly now: () => number;
  /** Somebody else has said already what there is to say of the configuration. */
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

/** Errors: `LaunchError` where several processes are asked for and the database takes one only. */
export function demandSharedDatabase(config: Config, asked: number): void {
  if (asked === 1 || config.database.postgres !== "") return;
  throw new LaunchError(
    "--workers needs PostgreSQL: only one process can use the embedded database; set database.postgres, or leave --workers out",
  );
}

/**
 * Runs an origin of `count` workers until it is asked to end. A worker that has ended is started again while the others go on.
 * Resolves with the exit code; what keeps it from starting, it says itself.
 */
export async function runWorkers(options: LaunchOptions, asked: number, parts: WorkersParts): Promise<number> {
  const { say, stop } = parts;
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const settings = await demandKeys(await loadSettings(options, parts.makeSecret));
    const { config } = settings;
    demandSharedDatabase(config, asked);
    if (!parts.quiet) announce(settings, say);
    const port = await demandPort(config.repo.bindAddress, config.repo.port, ORIGIN_PORT);
    for (const folder of foldersOf(config)) await demandFolder(folder);
    const metrics = await parts.serveMetrics(config);
    if (metrics) closers.push(() => metrics.close());

    // Each worker accepts by itself: a connection handed to one that is killed at that moment would hang for good.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: parts.script, args: [...parts.args, "--port", String(port)] });
    const workers = Array.from({ length: countWorkers(asked) }, (_, index) => superviseWorker(index + 1, parts));
    closers.push(() => Promise.all(workers.map((worker) => worker.stop(STOP_MS))));
    // The first one migrates the database. What keeps it from starting is said once.
    const [first, ...others] = workers;
    await first?.begin(stop);
    const url = originUrl({ bindAddress: config.repo.bindAddress, port });
    const begun = Promise.all(others.map((worker) => worker.begin(stop))).then(() => {
      if (!parts.quiet) say.line(`the origin answers at ${url} (${workers.length} workers)`);
    });
    await Promise.all([first?.keep(stop), begun.then(() => Promise.all(others.map((worker) => worker.keep(stop))))]);
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    for (const line of explain(error)) say.warn(line);
    return 1;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

function superviseWorker(number: number, { say, now }: WorkersParts): Supervised {
  let listening: Promise<unknown> = Promise.resolve();
  return new Supervised({
    ...{ name: `worker ${number}`, say, now },
    start() {
      const worker = cluster.fork({ [WORKER_NUMBER]: String(number) });
      listening = new Promise((resolve) => worker.once("listening", resolve));
      return partOf(worker);
    },
    ready: () => listening,
  });
}

function partOf(worker: Worker): Part {
  const gone = new Promise<string>((resolve) => {
    worker.once("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
    worker.once("error", (error) => resolve(error.message));
  });
  return {
    gone,
    async stop(graceMs) {
      worker.process.kill("SIGTERM");
      const timer = setTimeout(() => worker.process.kill("SIGKILL"), graceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}
