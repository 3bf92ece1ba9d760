import { fileURLToPath } from "node:url";
import type { Config } from "../../config/schema.ts";
import { type EdgeEngine, openLocalEdge } from "../edge/edge_part.ts";
import { superviseEdge } from "../edge/supervise_edge.ts";
import { announce } from "../run_origin.ts";
import { demandSharedDatabase } from "../run_workers.ts";
import type { Say } from "../say.ts";
import { type LaunchOptions, loadSettings } from "../settings.ts";
import { explain, LaunchError } from "../trouble/explain.ts";
import { EDGE_PORT, ORIGIN_PORT } from "../trouble/port_trouble.ts";
import { demandFolder, demandPort, foldersOf } from "../trouble/preflight.ts";
import { edgeUrl, originUrl } from "./addresses.ts";
import { banner } from "./banner.ts";
import { devFactsFile, devFactsOf, removeDevFacts, writeDevFacts } from "./dev_facts.ts";
import { startPart } from "./part.ts";
import { Supervised } from "./supervised.ts";
import { waitUntilReady } from "./wait_until_ready.ts";

/** What running both tiers needs from outside. */
export interface BothParts {
  readonly say: Say;
  readonly makeSecret: () => string;
  /** Aborted when the process is asked to end. */
  readonly stop: AbortSignal;
  /** Milliseconds; only differences matter. */
  readonly now: () => number;
}

/** What the command line says of both tiers. */
export interface BothOptions extends Omit<LaunchOptions, "localEdge"> {
  readonly engine: EdgeEngine;
  /** How many processes the origin is of; 0: one a core. */
  readonly workers: number;
}

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const PAIRED_MS = 30_000;
const STOP_MS = 3_000;

/**
 * `npm start`: checks what can be checked, starts the origin and a local edge, says where they are when both answer, starts one
 * that has ended again, and ends both when it is asked to. Resolves with the exit code.
 */
export async function startBoth(given: BothOptions, parts: BothParts): Promise<number> {
  const { say, stop } = parts;
  const closers: (() => Promise<unknown> | unknown)[] = [];
  try {
    const { options, config } = await prepare(given, parts);
    const [origin, edge] = [originUrl(config.repo), edgeUrl(config.edge.localPort)];
    const echo = echoUntil(stop, say);

    say.line("starting the origin and the edge …");
    // First of all, because it takes the folder: what lies there may be that of another start, which is running.
    const folder = await openLocalEdge(edgeSettings(options.data, config, origin), given.engine, echo);
    closers.push(() => folder.release());
    await removeDevFacts(given.data);
    closers.push(() => removeDevFacts(given.data).catch(() => {}));
    const tiers = [
      superviseOrigin(origin, { ...options, workers: given.workers }, parts),
      superviseEdge(edge, folder, given.engine, parts),
    ];
    closers.push(() => Promise.all(tiers.map((tier) => tier.stop(STOP_MS))));
    await Promise.all(tiers.map((tier) => tier.begin(stop)));
    const kept = Promise.all(tiers.map((tier) => tier.keep(stop)));
    // Whoever waits for it may be told of something else first.
    kept.catch(() => {});
    await Promise.race([kept, untilPaired(origin, edge, stop)]);

    const facts = devFactsOf(config, { origin, edge });
    await writeDevFacts(options.data, facts);
    say.raw(`${banner(facts, devFactsFile(options.data), config.domains.size > 1)}\n`);
    await kept;
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    for (const line of explain(error)) say.warn(line);
    return 1;
  } finally {
    for (const close of closers.reverse()) await close();
    if (stop.aborted) say.line("both tiers have ended");
  }
}

/** The edge answers by itself; does it reach the origin? */
async function untilPaired(origin: string, edge: string, stop: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(PAIRED_MS);
  try {
    await waitUntilReady(`${edge}/healthz`, AbortSignal.any([stop, late]));
  } catch (error) {
    throw late.aborted ? new LaunchError(`the edge does not reach the origin at ${origin}`, { cause: error }) : error;
  }
}

function superviseOrigin(url: string, options: OriginOptions, { say, now, stop }: BothParts): Supervised {
  const echo = echoUntil(stop, say);
  return new Supervised({
    ...{ name: "the origin", say, now },
    start: () => startPart({ script: MAIN, args: originArguments(options), echo }),
    ready: (signal) => waitUntilReady(`${url}/healthz`, signal),
  });
}

/** Passes on what our processes say, until they are asked to end. */
export function echoUntil(stop: AbortSignal, say: Say): Pick<Say, "raw" | "rawWarn"> {
  return {
    raw: (text) => (stop.aborted ? undefined : say.raw(text)),
    rawWarn: (text) => (stop.aborted ? undefined : say.rawWarn(text)),
  };
}

/** Loads the configuration, and makes sure that folders and ports are there to be used. */
async function prepare(given: BothOptions, { say, makeSecret }: BothParts) {
  const wanted: LaunchOptions = { ...given, localEdge: true };
  const { config: asked } = await loadSettings(wanted, makeSecret);
  const port = await demandPort(asked.repo.bindAddress, asked.repo.port, ORIGIN_PORT);
  const edgePort = await demandPort("127.0.0.1", asked.edge.localPort, EDGE_PORT);
  if (port === edgePort)
    throw new LaunchError(`the origin and the edge cannot share port ${port}; choose another with --port`);
  const options: LaunchOptions = { ...wanted, port, edgePort };
  const settings = await loadSettings(options, makeSecret);
  demandSharedDatabase(settings.config, given.workers);
  for (const folder of foldersOf(settings.config)) await demandFolder(folder);
  announce(settings, say);
  return { options, config: settings.config };
}

type OriginOptions = LaunchOptions & Pick<BothOptions, "workers">;

/** The origin finds its configuration by itself: no secret passes from process to process. */
function originArguments({ config, repoConfig, data, port, edgePort, workers }: OriginOptions): string[] {
  const path = repoConfig || config;
  return [
    ...(path === undefined ? [] : ["--config", path]),
    ...["--data", data, "--port", String(port), "--edge-port", String(edgePort), "--local-edge"],
    ...["--workers", String(workers)],
  ];
}

function edgeSettings(data: string, { edge }: Config, origin: string) {
  return { data, port: edge.localPort, originUrl: origin, hopSecret: edge.hopSecret, bucket: edge.bucket };
}
