import { formatProblem } from "../config/checks/config_error.ts";
import { configReference } from "../config/reference.ts";
import { demandKeys } from "./demand_keys.ts";
import type { Say } from "./say.ts";
import { findConfig, type LaunchOptions, loadSettings } from "./settings.ts";
import { explain } from "./trouble/explain.ts";
import { probeConfig } from "./trouble/probe_config.ts";

/** What is checked, beside that it can be read. */
export interface CheckOptions extends LaunchOptions {
  /** Ask the homeservers, too. */
  readonly probe: boolean;
}

/** `mxcdn config check`: says what is wrong with a configuration. Resolves with the exit code: 1 where it cannot be used. */
export async function checkConfig(options: CheckOptions, say: Say, makeSecret: () => string): Promise<number> {
  if (findConfig(options) === undefined) {
    say.raw("there is no configuration here: name a file or a folder\n");
    return 1;
  }
  try {
    const settings = await demandKeys(await loadSettings(options, makeSecret));
    for (const warning of settings.warnings) say.raw(`warning: ${formatProblem(warning)}\n`);
    if (options.probe && !(await probeConfig(settings, say))) return 1;
    const names = [...settings.config.domains.keys()];
    say.raw(`${settings.path} is good: it serves ${names.join(", ")}\n`);
    return 0;
  } catch (error) {
    for (const line of explain(error)) say.raw(`${line}\n`);
    return 1;
  }
}

/** `mxcdn config reference`: the reference of all keys, in Markdown. */
export function printReference(say: Say): void {
  say.raw(configReference());
}
