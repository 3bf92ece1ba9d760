#!/usr/bin/env node
import { Command, Option } from "commander";
import {
  edgeEngine,
  type GivenOptions,
  settingsOptions,
  withConfigOptions,
  withEdgePort,
  withEngine,
  withOriginOptions,
  withoutOldFlags,
  withPort,
  withWorkers,
} from "./commands/command_options.ts";
import { checkConfig, printReference } from "./commands/config_commands.ts";
import { startBoth } from "./commands/dev/start_both.ts";
import { startEdgeAlone } from "./commands/edge/start_edge.ts";
import { openOutput, programVersion, runService } from "./commands/program.ts";
import {
  combineKeys,
  generateKey,
  SIGNING_KEY_FORMATS,
  type SigningKeyOutput,
} from "./commands/signing_key_commands.ts";
import { startOrigin } from "./main.ts";

/** The command line: `mxcdn <command>`. */

const output = openOutput();
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
    const options = { ...settingsOptions(given, repoConfig), engine: edgeEngine(given), workers: given.workers ?? 1 };
    await runService(output, (context) => startBoth(options, context));
  });

withOriginOptions(program.command("origin"))
  .description("Runs the origin alone.")
  .action((given: GivenOptions) => startOrigin(given, output));

withEngine(withEdgePort(withPort(withConfigOptions(program.command("edge")))))
  .description("Runs the edge alone, in workerd, for development and for trying.")
  .option("--origin <url>", "where the origin is, instead of what the configuration says")
  .action(async (given: GivenOptions & { origin?: string }) => {
    const options = { ...settingsOptions(given, repoConfig), origin: given.origin, engine: edgeEngine(given) };
    await runService(output, (context) => startEdgeAlone(options, context));
  });

const config = program.command("config").description("Checks and explains the configuration.");

config
  .command("check")
  .description("Says what is wrong with a configuration, with file, line and key. Exit code 1 where it cannot be used.")
  .argument("[path]", "the configuration: a file or a folder (otherwise REPO_CONFIG, or media-repo.yaml)")
  .option("--probe", "ask each homeserver, too, whether it is the one that is meant (csApi)")
  .action(async (path: string | undefined, { probe = false }: { probe?: boolean }) => {
    const options = { config: path, repoConfig: path === undefined ? repoConfig : undefined, data: "./data", probe };
    end(await checkConfig({ ...options, localEdge: false }, output));
  });

config
  .command("reference")
  .description("Prints the reference of all keys, in Markdown.")
  .action(() => printReference(output));

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
    .action(async (given: SigningKeyOutput & { input?: string }) => end(await generateKey(given, output)));
}

for (const command of [signingKey.command("combine"), program.command("combine_signing_keys", { hidden: true })]) {
  withKeyOutput(command)
    .description("Puts the keys of several files into one, as for a homeserver that is to publish them all.")
    .argument("<files...>", "key files of any form")
    .action(async (files: string[], given: SigningKeyOutput) => end(await combineKeys(given, files, output)));
}

await program.parseAsync(withoutOldFlags(process.argv.slice(2)), { from: "user" });
