#!/usr/bin/env node
import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { Command } from "commander";
import {
  type GivenOptions,
  launchOptions,
  withConfigOptions,
  withEdgePort,
  withLocalEdge,
  withoutOldFlags,
  withPort,
  withWorkers,
} from "./commands/command_options.ts";
import { runOrigin } from "./commands/run_origin.ts";
import { runWorkers, WORKER_NUMBER } from "./commands/run_workers.ts";
import { sayOn } from "./commands/say.ts";
import { makeSecret } from "./commands/secret.ts";
import { stopSignal } from "./commands/stop_signal.ts";
import { UnexpectedErrors } from "./commands/unexpected_errors.ts";
import { programVersion } from "./commands/version.ts";
import type { Config } from "./config/schema.ts";
import { steadyClock } from "./platform/clock.ts";
import type { MetricsServer } from "./platform/metrics.ts";

const SELF = fileURLToPath(import.meta.url);

/**
 * The origin as a process of its own: `node origin/main.ts`, `mxcdn origin`, and what `npm start` runs beside the edge. Ends
 * on SIGINT and SIGTERM with exit code 0, after requests under way had ten seconds to end; and in the same way with another
 * code after an error that nobody has foreseen. With `--workers`, it is the process above others that run this script again.
 */
export async function main(args: readonly string[]): Promise<void> {
  const command = new Command("mxcdn origin").description("Runs the origin alone.").version(programVersion());
  for (const add of [withConfigOptions, withPort, withEdgePort, withLocalEdge, withWorkers]) add(command);
  const given = command.parse(withoutOldFlags(args), { from: "user" }).opts<GivenOptions>();
  // Whoever read our log may stop reading it; that must not end the service.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const { isWorker } = cluster;
  const say = sayOn(process, isWorker ? `mxcdn: worker ${process.env[WORKER_NUMBER]}` : undefined);
  const options = launchOptions(given, process.env.REPO_CONFIG);
  const parts = { say, makeSecret, stop: stopSignal(steadyClock), quiet: process.connected };
  const { workers = 1 } = given;
  if (isWorker || workers === 1) {
    const unexpected = new UnexpectedErrors(process, (error) => say.warn(`unexpected error: ${inspect(error)}`));
    const build = (config: Config) => buildOrigin(config, isWorker);
    process.exitCode = await runOrigin(options, { ...parts, isWorker, unexpected, build });
  } else {
    process.exitCode = await runWorkers(options, workers, {
      ...parts,
      ...{ script: SELF, args, serveMetrics, now: steadyClock },
    });
  }
  // Whatever is still open (an idle connection, a channel to the process that started us) must not keep us.
  process.exit();
}

/** What an origin is made of is loaded by whoever runs one. */
async function buildOrigin(config: Config, isWorker: boolean) {
  const { buildApp } = await import("./app.ts");
  return await buildApp(config, { isWorker });
}

/** The process above the workers serves the metrics of all, where they are wanted. */
async function serveMetrics({ metrics }: Config): Promise<MetricsServer | undefined> {
  if (!metrics.enabled) return undefined;
  const { pageOfWorkers, startMetricsServer } = await import("./platform/metrics.ts");
  return await startMetricsServer(pageOfWorkers(), metrics);
}

if (import.meta.main) await main(process.argv.slice(2));
