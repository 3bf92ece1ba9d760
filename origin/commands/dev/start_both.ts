import { fileURLToPath } from "node:url";
import type { Config } from "../../config/schema.ts";
import { type EdgeEngine, openLocalEdge, superviseEdge } from "../edge/local_edge.ts";
import type { Output, ServiceContext } from "../program.ts";
import { announce } from "../run_origin.ts";
import { requireSharedDatabase } from "../run_workers.ts";
import { loadSettings, originArguments, type SettingsOptions } from "../settings.ts";
import { CommandError } from "../trouble/describe_error.ts";
import { EDGE_PORT, ORIGIN_PORT } from "../trouble/local_trouble.ts";
import { foldersOf, requireFolder, requirePort } from "../trouble/preflight.ts";
import { untilStopped } from "../until_stopped.ts";
import { banner, devFactsFile, devFactsOf, removeDevFacts, writeDevFacts } from "./dev_facts.ts";
import { startProcess } from "./managed_process.ts";
import { Supervisor } from "./supervisor.ts";
import { edgeUrl, originUrl, waitUntilReady } from "./tier_health.ts";

/** `npm start`: both tiers on one machine, for development and for trying. */

/** What the command line says of both tiers. */
export interface BothOptions extends Omit<SettingsOptions, "localEdge"> {
  readonly engine: EdgeEngine;
  /** The number of processes of the origin; 0: one per core. */
  readonly workers: number;
}

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const PAIRED_MS = 30_000;
const STOP_MS = 3_000;

/**
 * `npm start`: checks what can be checked, starts the origin and a local edge, says where they are when both answer, starts one
 * that has ended again, and ends both when it is asked to. Resolves with the exit code.
 */
export async function startBoth(given: BothOptions, context: ServiceContext): Promise<number> {
  const { output, stop } = context;
  return await untilStopped(context, async (closers) => {
    closers.push(() => void (stop.aborted && output.line("both tiers have ended")));
    const { options, config } = await prepare(given, context);
    const [origin, edge] = [originUrl(config.repo), edgeUrl(config.edge.localPort)];
    const echo = echoUntil(stop, output);

    output.line("starting the origin and the edge …");
    // First, because it locks the folder: the files in it may belong to another running start.
    const folder = await openLocalEdge(edgeSettings(options.data, config, origin), given.engine, echo);
    closers.push(() => folder.release());
    await removeDevFacts(given.data);
    closers.push(() => removeDevFacts(given.data).catch(() => {}));
    const tiers = [
      superviseOrigin(origin, { ...options, workers: given.workers }, context),
      superviseEdge(edge, folder, given.engine, context),
    ];
    closers.push(() => Promise.all(tiers.map((tier) => tier.stop(STOP_MS))));
    await Promise.all(tiers.map((tier) => tier.begin(stop)));
    const kept = Promise.all(tiers.map((tier) => tier.keep(stop)));
    // Awaited below; until then its rejection must not count as unhandled.
    kept.catch(() => {});
    await Promise.race([kept, untilPaired(origin, edge, stop)]);

    const facts = devFactsOf(config, { origin, edge });
    await writeDevFacts(options.data, facts);
    output.raw(`${banner(facts, devFactsFile(options.data), config.domains.size > 1)}\n`);
    await kept;
  });
}

/** Resolves when the edge reaches the origin. Throws `CommandError` if it does not in time. */
async function untilPaired(origin: string, edge: string, stop: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(PAIRED_MS);
  try {
    await waitUntilReady(`${edge}/healthz`, AbortSignal.any([stop, late]));
  } catch (error) {
    throw late.aborted ? new CommandError(`the edge does not reach the origin at ${origin}`, { cause: error }) : error;
  }
}

function superviseOrigin(url: string, options: OriginOptions, { output, now, stop }: ServiceContext): Supervisor {
  const echo = echoUntil(stop, output);
  return new Supervisor({
    ...{ name: "the origin", output, now },
    start: () =>
      startProcess({ script: MAIN, args: [...originArguments(options), "--workers", String(options.workers)], echo }),
    ready: (signal) => waitUntilReady(`${url}/healthz`, signal),
  });
}

/** Passes on the output of child processes until they are asked to end. */
export function echoUntil(stop: AbortSignal, output: Output): Pick<Output, "raw" | "rawWarn"> {
  return {
    raw: (text) => (stop.aborted ? undefined : output.raw(text)),
    rawWarn: (text) => (stop.aborted ? undefined : output.rawWarn(text)),
  };
}

/** Loads the configuration, and checks that its folders and ports can be used. */
async function prepare(given: BothOptions, { output }: ServiceContext) {
  const wanted: SettingsOptions = { ...given, localEdge: true };
  const { config: asked } = await loadSettings(wanted);
  const port = await requirePort(asked.repo.bindAddress, asked.repo.port, ORIGIN_PORT);
  const edgePort = await requirePort("127.0.0.1", asked.edge.localPort, EDGE_PORT);
  if (port === edgePort)
    throw new CommandError(`the origin and the edge cannot share port ${port}; choose another with --port`);
  const options: SettingsOptions = { ...wanted, port, edgePort };
  const settings = await loadSettings(options);
  requireSharedDatabase(settings.config, given.workers);
  for (const folder of foldersOf(settings.config)) await requireFolder(folder);
  announce(settings, output);
  return { options, config: settings.config };
}

type OriginOptions = SettingsOptions & Pick<BothOptions, "workers">;

function edgeSettings(data: string, { edge }: Config, origin: string) {
  return { data, port: edge.localPort, originUrl: origin, hopSecret: edge.hopSecret, bucket: edge.bucket };
}
