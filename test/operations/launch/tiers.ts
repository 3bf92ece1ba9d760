import { mkdir, mkdtemp, readFile, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DevFacts } from "../../../origin/commands/dev/dev_facts.ts";
import { newFolder } from "../../support/database.ts";
import { ask, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";
import { commandLine, descendants, type RunningCommand, spawnCli } from "./spawn_cli.ts";

/** Both tiers as `npm start` runs them. */
export interface StartedTiers {
  readonly command: RunningCommand;
  readonly facts: DevFacts;
  readonly token: string;
}

/** A folder for a start, with a database in it that was made before: making one takes seconds. To be removed at the end. */
export async function startFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-start-"));
  await mkdir(join(folder, "data"));
  await rename((await newFolder()).folder, join(folder, "data", "db"));
  return folder;
}

/** Starts both tiers on free ports, and waits for the banner. */
export async function startTiers(t: Lifetime, folder: string, args: readonly string[] = []): Promise<StartedTiers> {
  const command = spawnCli(t, folder, ["start", "--port", "0", "--edge-port", "0", ...args]);
  await command.says(/Ctrl-C ends both/);
  const facts = JSON.parse(await readFile(join(folder, "data", "dev.json"), "utf8")) as DevFacts;
  return { command, facts, token: facts.token ?? "" };
}

/** The process among those that a command has started whose command line holds this. */
export function pidOf(command: RunningCommand, what: string): number {
  const isWanted = (pid: number) =>
    commandLine(pid)
      .slice(0, 3)
      .some((word) => word.endsWith(what));
  const pid = descendants(command.pid).find(isWanted);
  if (pid === undefined) throw new Error(`${what} does not run`);
  return pid;
}

/** Uploads some text through the edge and waits until the edge serves it by itself; resolves with the path of its download. */
export async function uploadUntilHit({ facts, token }: StartedTiers, text: string): Promise<string> {
  const id = await upload(facts.edge, token, text.repeat(10), { type: "text/plain" });
  const path = `/_matrix/client/v1/media/download/${id}`;
  // It may remember for two seconds what it read before the origin had published.
  await until(async () => isHit((await ask(facts.edge, path, { token })).headers["cache-status"]), "it is no hit");
  return path;
}

/** Whether a `Cache-Status` says that the edge has answered by itself. */
export function isHit(cacheStatus: string | undefined): boolean {
  return /hit/.test(cacheStatus ?? "");
}
