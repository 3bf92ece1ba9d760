import { fileURLToPath } from "node:url";
import type { Config } from "../config/schema.ts";
import { edgeUrl, originUrl } from "./addresses.ts";
import { banner } from "./banner.ts";
import { devFactsFile, devFactsOf, removeDevFacts, writeDevFacts } from "./dev_facts.ts";
import { startEdge } from "./edge_part.ts";
import { explain, LaunchError } from "./explain.ts";
import { type Part, startPart } from "./part.ts";
import { EDGE_PORT, ORIGIN_PORT } from "./port_trouble.ts";
import { demandFolder, demandPort, foldersOf } from "./preflight.ts";
import { announce } from "./run_origin.ts";
import type { Say } from "./say.ts";
import { type LaunchOptions, loadSettings } from "./settings.ts";
import { aborted } from "./stop_signal.ts";
import { untilSilent } from "./until_silent.ts";
import { waitUntilReady } from "./wait_until_ready.ts";

/** What running both tiers needs from outside. */
export interface BothParts {
  readonly say: Say;
  readonly makeSecret: () => string;
  /** Aborted when the process is asked to end. */
  readonly stop: AbortSignal;
}

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
/** A path whose preflight the edge answers without the origin. */
const ANSWERED_BY_THE_EDGE = "/_matrix/media/v3/config";
const READY_MS = 120_000;
const STOP_MS = 3_000;

/**
 * `npm start`: checks what can be checked, starts the origin and a local edge, says where they are when both answer, and
 * ends both when it is asked to, or when one of them dies. Resolves with the exit code.
 */
export async function startBoth(given: Omit<LaunchOptions, "localEdge">, parts: BothParts): Promise<number> {
  const { say, stop } = parts;
  const running: Part[] = [];
  let ours = false;
  try {
    const { options, config } = await prepare(given, parts);
    const [origin, edge] = [originUrl(config.repo), edgeUrl(config.edge.localPort)];
    const echo = echoUntil(stop, say);

    say.line("starting the origin and the edge …");
    // First of all, because it takes the folder: what lies there may be that of another start, which is running.
    running.push(await startEdge(edgeSettings(options.data, config, origin), echo));
    await removeDevFacts(given.data);
    ours = true;
    running.push(startPart("the origin", MAIN, originArguments(options), echo));
    await untilReady("the origin", origin, running, stop);
    say.line(`the origin answers at ${origin}`);
    await untilReady("the edge", edge, running, stop);
    say.line(`the edge answers at ${edge}`);

    const facts = devFactsOf(config, { origin, edge });
    await writeDevFacts(options.data, facts);
    say.raw(`${banner(facts, devFactsFile(options.data), config.domains.size > 1)}\n`);
    await Promise.race([aborted(stop), firstDeath(running), edgeSilence(edge, stop)]);
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    for (const line of explain(error)) say.warn(line);
    return 1;
  } finally {
    if (ours) await removeDevFacts(given.data).catch(() => {});
    await Promise.all(running.map((part) => part.stop(STOP_MS)));
    if (stop.aborted) say.line("both tiers have ended");
  }
}

/** Passes on what our processes say, until they are asked to end. */
export function echoUntil(stop: AbortSignal, say: Say): Pick<Say, "raw" | "rawWarn"> {
  return {
    raw: (text) => (stop.aborted ? undefined : say.raw(text)),
    rawWarn: (text) => (stop.aborted ? undefined : say.rawWarn(text)),
  };
}

/** Loads the configuration, and makes sure that folders and ports are there to be used. */
async function prepare(given: Omit<LaunchOptions, "localEdge">, { say, makeSecret }: BothParts) {
  const wanted: LaunchOptions = { ...given, localEdge: true };
  const { config: asked } = await loadSettings(wanted, makeSecret);
  const port = await demandPort(asked.repo.bindAddress, asked.repo.port, ORIGIN_PORT);
  const edgePort = await demandPort("127.0.0.1", asked.edge.localPort, EDGE_PORT);
  if (port === edgePort)
    throw new LaunchError(`the origin and the edge cannot share port ${port}; choose another with --port`);
  const options: LaunchOptions = { ...wanted, port, edgePort };
  const settings = await loadSettings(options, makeSecret);
  for (const folder of foldersOf(settings.config)) await demandFolder(folder);
  announce(settings, say);
  return { options, config: settings.config };
}

/** The origin finds its configuration by itself: no secret passes from process to process. */
function originArguments({ config, repoConfig, data, port, edgePort }: LaunchOptions): string[] {
  const path = repoConfig || config;
  return [
    ...(path === undefined ? [] : ["--config", path]),
    ...["--data", data, "--port", String(port), "--edge-port", String(edgePort), "--local-edge"],
  ];
}

function edgeSettings(data: string, { edge }: Config, origin: string) {
  return { data, port: edge.localPort, originUrl: origin, hopSecret: edge.hopSecret, bucket: edge.bucket };
}

async function untilReady(name: string, url: string, running: readonly Part[], stop: AbortSignal): Promise<void> {
  const done = new AbortController();
  const late = AbortSignal.timeout(READY_MS);
  const ready = waitUntilReady(`${url}/healthz`, AbortSignal.any([stop, late, done.signal])).catch((error: unknown) => {
    throw late.aborted ? new LaunchError(`${name} does not answer at ${url} after ${READY_MS / 1000} seconds`) : error;
  });
  try {
    await Promise.race([ready, firstDeath(running)]);
  } finally {
    done.abort();
    await ready.catch(() => {});
  }
}

/** Throws when the edge is silent: wrangler does not notice when its workerd dies. */
async function edgeSilence(edge: string, stop: AbortSignal): Promise<void> {
  await untilSilent(`${edge}${ANSWERED_BY_THE_EDGE}`, stop);
  if (!stop.aborted) throw new LaunchError("the edge does not answer any more, so everything ends");
}

/** Throws as soon as one of them is gone. */
async function firstDeath(running: readonly Part[]): Promise<never> {
  const part = await Promise.race(running.map((one) => one.gone.then(() => one)));
  throw new LaunchError(`${part.name} has ended, so everything ends; what it said is above`);
}
