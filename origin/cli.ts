#!/usr/bin/env node
import { Command, Option } from "commander";
import {
  edgeEngine,
  type GivenOptions,
  launchOptions,
  withConfigOptions,
  withEdgePort,
  withEngine,
  withLocalEdge,
  withoutOldFlags,
  withPort,
  withWorkers,
} from "./commands/command_options.ts";
import { checkConfig, printReference } from "./commands/config_commands.ts";
import { startBoth } from "./commands/dev/start_both.ts";
import { startEdgeAlone } from "./commands/edge/start_edge.ts";
import { sayOn } from "./commands/say.ts";
import { makeSecret } from "./commands/secret.ts";
import {
  combineKeys,
  generateKey,
  SIGNING_KEY_FORMATS,
  type SigningKeyOutput,
} from "./commands/signing_key_commands.ts";
import { stopSignal } from "./commands/stop_signal.ts";
import { programVersion } from "./commands/version.ts";
import { steadyClock } from "./platform/clock.ts";

/** `mxcdn <command>`. */

// Whoever reads what we say may stop reading it; that must not end the service.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
const say = sayOn(process);
const repoConfig = process.env.REPO_CONFIG;

/** Ends with this exit code, whatever is still open. */
function end(code: number): never {
  process.exit(code);
}

const program = new Command("mxcdn")
  .description("A media repository for Matrix in two tiers: an edge and an origin.")
  .version(programVersion())
  .showHelpAfterError("(add --help for what there is)");

withWorkers(withEngine(withEdgePort(withPort(withConfigOptions(program.command("start"))))))
  .description("Runs both tiers on this machine, for development and for trying: the origin, and the edge in workerd.")
  .action(async (given: GivenOptions) => {
    const options = { ...launchOptions(given, repoConfig), engine: edgeEngine(given), workers: given.workers ?? 1 };
    end(await startBoth(options, { say, makeSecret, stop: stopSignal(steadyClock), now: steadyClock }));
  });

withWorkers(withLocalEdge(withEdgePort(withPort(withConfigOptions(program.command("origin"))))))
  .description("Runs the origin alone.")
  .action(async () => {
    const { main } = await import("./main.ts");
    await main(process.argv.slice(process.argv.indexOf("origin") + 1));
  });

withEngine(withEdgePort(withPort(withConfigOptions(program.command("edge")))))
  .description("Runs the edge alone, in workerd, for development and for trying.")
  .option("--origin <url>", "where the origin is, instead of what the configuration says")
  .action(async (given: GivenOptions & { origin?: string }) => {
    const options = { ...launchOptions(given, repoConfig), origin: given.origin, engine: edgeEngine(given) };
    end(await startEdgeAlone(options, { say, makeSecret, stop: stopSignal(steadyClock), now: steadyClock }));
  });

const config = program.command("config").description("Checks and explains the configuration.");

config
  .command("check")
  .description("Says what is wrong with a configuration, with file, line and key. Exit code 1 where it cannot be used.")
  .argument("[path]", "the configuration: a file or a folder (otherwise REPO_CONFIG, or media-repo.yaml)")
  .option("--probe", "ask each homeserver, too, whether it is the one that is meant (csApi)")
  .action(async (path: string | undefined, { probe = false }: { probe?: boolean }) => {
    const options = { config: path, repoConfig: path === undefined ? repoConfig : undefined, data: "./data", probe };
    end(await checkConfig({ ...options, localEdge: false }, say, makeSecret));
  });

config
  .command("reference")
  .description("Prints the reference of all keys, in Markdown.")
  .action(() => printReference(say));

const signingKey = program
  .command("signing-key")
  .description("Makes and converts the keys that sign requests to other servers.");

/** Adds what both commands, and matrix-media-repo's tools of the same work, take. */
function withKeyOutput(command: Command): Command {
  return command
    .addOption(new Option("--format <form>", "the form of the file").choices(SIGNING_KEY_FORMATS).default("mmr"))
    .option("--output <file>", "where to write", "./signing.key");
}

for (const command of [signingKey.command("generate"), program.command("generate_signing_key", { hidden: true })]) {
  withKeyOutput(command)
    .description("Makes a new key, or converts the first key of a file.")
    .option("--input <file>", "a key file of any form, to be converted")
    .action(async (given: SigningKeyOutput & { input?: string }) => end(await generateKey(given, say)));
}

for (const command of [signingKey.command("combine"), program.command("combine_signing_keys", { hidden: true })]) {
  withKeyOutput(command)
    .description("Puts the keys of several files into one, as for a homeserver that is to publish them all.")
    .argument("<files...>", "key files of any form")
    .action(async (files: string[], given: SigningKeyOutput) => end(await combineKeys(given, files, say)));
}

await program.parseAsync(withoutOldFlags(process.argv.slice(2)), { from: "user" });
