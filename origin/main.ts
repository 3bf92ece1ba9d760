#!/usr/bin/env node
import { inspect } from "node:util";
import { Command } from "commander";
import { buildApp } from "./app.ts";
import {
  type GivenOptions,
  launchOptions,
  withConfigOptions,
  withEdgePort,
  withLocalEdge,
  withoutOldFlags,
  withPort,
} from "./launch/command_options.ts";
import { runOrigin } from "./launch/run_origin.ts";
import { sayOn } from "./launch/say.ts";
import { makeSecret } from "./launch/secret.ts";
import { stopSignal } from "./launch/stop_signal.ts";
import { UnexpectedErrors } from "./launch/unexpected_errors.ts";
import { programVersion } from "./launch/version.ts";
import { steadyClock } from "./platform/clock.ts";

/**
 * The origin as a process of its own: `node origin/main.ts`, `mxcdn origin`, and what `npm start` runs beside the edge. Ends
 * on SIGINT and SIGTERM with exit code 0, after requests under way had ten seconds to end; and in the same way with another
 * code after an error that nobody has foreseen.
 */
export async function main(args: readonly string[]): Promise<void> {
  const command = new Command("mxcdn origin").description("Runs the origin alone.").version(programVersion());
  for (const add of [withConfigOptions, withPort, withEdgePort, withLocalEdge]) add(command);
  command.parse(withoutOldFlags(args), { from: "user" });
  // Whoever read our log may stop reading it; that must not end the service.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const say = sayOn(process);
  const unexpected = new UnexpectedErrors(process, (error) => say.warn(`unexpected error: ${inspect(error)}`));
  process.exitCode = await runOrigin(launchOptions(command.opts<GivenOptions>(), process.env.REPO_CONFIG), {
    build: buildApp,
    say,
    makeSecret,
    stop: stopSignal(steadyClock),
    unexpected,
    quiet: process.connected,
  });
  // Whatever is still open (an idle connection, a channel to the process that started us) must not keep us.
  process.exit();
}

if (import.meta.main) await main(process.argv.slice(2));
