import { type Command, InvalidArgumentError, Option } from "commander";
import type { EdgeEngine } from "./edge/local_edge.ts";
import type { SettingsOptions } from "./settings.ts";

/** The options that several commands share, and those of matrix-media-repo that stand for them. */

const MAX_WORKERS = 256;

/** What the options of a command hold once they are parsed. */
export interface GivenOptions {
  readonly config?: string;
  readonly data: string;
  readonly port?: number;
  readonly edgePort?: number;
  readonly localEdge?: boolean;
  readonly workers?: number;
  readonly watch?: boolean;
  readonly wranglerDev?: boolean;
}

/** Adds the options that say which configuration holds. */
export function withConfigOptions(command: Command): Command {
  return command
    .option("-c, --config <path>", "the configuration: a file or a folder (REPO_CONFIG in the environment goes first)")
    .option("--data <folder>", "where things are kept that the configuration gives no other place", "./data");
}

/** Adds the option for the origin's port. */
export function withPort(command: Command): Command {
  return command.option("--port <number>", "the origin's port, instead of repo.port", readPort);
}

/** Adds the option for the local edge's port. */
export function withEdgePort(command: Command): Command {
  return command.option("--edge-port <number>", "the local edge's port, instead of edge.localPort", readPort);
}

/** Adds the options of an origin that runs alone. */
export function withOriginOptions(command: Command): Command {
  return withWorkers(withLocalEdge(withEdgePort(withPort(withConfigOptions(command)))));
}

/** Adds the option that pairs an origin with a local edge. */
function withLocalEdge(command: Command): Command {
  return command.addOption(
    new Option(
      "--local-edge",
      "there is a local edge (`npm run edge`): switch the edge on, with the secret kept in --data",
    ),
  );
}

/** Adds the option for an origin of several processes. */
export function withWorkers(command: Command): Command {
  return command.option("--workers <number>", "so many processes on the origin's port, 0: one a core", readWorkers, 1);
}

/** Adds the options that say what runs a local edge. */
export function withEngine(command: Command): Command {
  return command
    .option("--watch", "bundle the Worker again when its sources or wrangler.toml change")
    .option("--wrangler-dev", "run the edge under `wrangler dev` (which always watches)");
}

/** What runs a local edge. */
export function edgeEngine({ watch = false, wranglerDev = false }: GivenOptions): EdgeEngine {
  return { wrangler: wranglerDev, watch };
}

/** Puts options and environment together. */
export function settingsOptions(given: GivenOptions, repoConfig: string | undefined): SettingsOptions {
  const { config, data, port, edgePort, localEdge = false } = given;
  return { config, repoConfig, data, port, edgePort, localEdge };
}

/**
 * Turns the flags of matrix-media-repo's `media_repo` (`-config FILE`, `-version`, one dash) into ours. Its `-migrations`,
 * `-templates` and `-assets` name folders that mxcdn has no use for; they are dropped.
 */
export function withoutOldFlags(args: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const [flag = "", value] = (args[index] ?? "").split(/=(.*)/s, 2);
    if (flag === "-config") kept.push("--config", ...(value === undefined ? [] : [value]));
    else if (flag === "-version") kept.push("--version");
    else if (/^-(input|output|format)$/.test(flag)) kept.push(`-${flag}`, ...(value === undefined ? [] : [value]));
    else if (!/^-(migrations|templates|assets)$/.test(flag)) kept.push(args[index] ?? "");
    else if (value === undefined) index++;
  }
  return kept;
}

function readWorkers(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > MAX_WORKERS) {
    throw new InvalidArgumentError(`It must be a number from 0 to ${MAX_WORKERS}.`);
  }
  return count;
}

function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError("It must be a number from 0 to 65535.");
  return port;
}
