#!/usr/bin/env node
import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { Command } from "commander";
import { type GivenOptions, settingsOptions, withOriginOptions, withoutOldFlags } from "./commands/command_options.ts";
import { type Output, openOutput, programVersion, runService, UnexpectedErrors } from "./commands/program.ts";
import { runOrigin } from "./commands/run_origin.ts";
import { runWorkers, WORKER_NUMBER } from "./commands/run_workers.ts";
import type { Config } from "./config/schema.ts";
import type { MetricsServer } from "./platform/metrics.ts";

/** The origin as a process: `node origin/main.ts`, `mxcdn origin`, each of its workers, and what `npm start` runs beside the edge. */

const SELF = fileURLToPath(import.meta.url);

/**
 * Runs the origin in this process, which ends with code 0 after SIGINT or SIGTERM, when requests under way had ten seconds to
 * end, and in the same way with another code after an error that nothing caught. With `--workers`, this process supervises others
 * that run this script.
 */
export async function startOrigin(given: GivenOptions, output: Output): Promise<never> {
  const options = settingsOptions(given, process.env.REPO_CONFIG);
  const { isWorker } = cluster;
  const { workers = 1 } = given;
  const quiet = process.connected;
  return await runService(output, async (service) => {
    if (!isWorker && workers !== 1) {
      return await runWorkers(options, workers, { ...service, quiet, script: SELF, serveMetrics });
    }
    const unexpected = new UnexpectedErrors(process, (error) => output.warn(`unexpected error: ${inspect(error)}`));
    const build = (config: Config) => buildOrigin(config, isWorker);
    return await runOrigin(options, { ...service, quiet, isWorker, unexpected, build });
  });
}

/** Loads what an origin consists of only in the process that serves. */
async function buildOrigin(config: Config, isWorker: boolean) {
  const { buildApp } = await import("./app.ts");
  return await buildApp(config, { isWorker });
}

/** Serves the metrics of all workers from the process that supervises them, if the configuration enables metrics. */
async function serveMetrics({ metrics }: Config): Promise<MetricsServer | undefined> {
  if (!metrics.enabled) return undefined;
  const { pageOfWorkers, startMetricsServer } = await import("./platform/metrics.ts");
  return await startMetricsServer(pageOfWorkers(), metrics);
}

if (import.meta.main) {
  const command = withOriginOptions(new Command("mxcdn origin").description("Runs the origin alone."));
  command.version(programVersion()).parse(withoutOldFlags(process.argv.slice(2)), { from: "user" });
  const name = cluster.isWorker ? `mxcdn: worker ${process.env[WORKER_NUMBER]}` : undefined;
  await startOrigin(command.opts<GivenOptions>(), openOutput(name));
}
