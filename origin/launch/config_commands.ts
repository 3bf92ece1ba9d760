import { formatProblem } from "../config/config_error.ts";
import { configReference } from "../config/reference.ts";
import { demandKeys } from "./demand_keys.ts";
import { explain } from "./explain.ts";
import type { Say } from "./say.ts";
import { findConfig, type LaunchOptions, loadSettings } from "./settings.ts";

/** `mxcdn config check`: says what is wrong with a configuration. Resolves with the exit code: 1 where it cannot be used. */
export async function checkConfig(options: LaunchOptions, say: Say, makeSecret: () => string): Promise<number> {
  if (findConfig(options) === undefined) {
    say.raw("there is no configuration here: name a file or a folder\n");
    return 1;
  }
  try {
    const { config, warnings, path } = await demandKeys(await loadSettings(options, makeSecret));
    for (const warning of warnings) say.raw(`warning: ${formatProblem(warning)}\n`);
    const names = [...config.domains.keys()];
    say.raw(`${path} is good: it serves ${names.join(", ")}\n`);
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
