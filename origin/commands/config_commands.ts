import { type ConfigProblem, formatProblem } from "../config/checks/config_error.ts";
import type { LoadedConfig } from "../config/load.ts";
import { configReference } from "../config/reference.ts";
import { type Finding, PROBE_MS, probeHomeservers } from "../matrix/probe_homeserver.ts";
import type { Output } from "./program.ts";
import { findConfig, loadSettings, requireKeys, type SettingsOptions } from "./settings.ts";
import { connectionTrouble, type Trouble } from "./trouble/connection_trouble.ts";
import { describeError } from "./trouble/describe_error.ts";

/** `mxcdn config check` and `mxcdn config reference`. */

/** The options of `config check`. */
export interface CheckOptions extends SettingsOptions {
  /** Ask the homeservers, too. */
  readonly probe: boolean;
}

/** `mxcdn config check`: says what is wrong with a configuration. Resolves with the exit code: 1 where it cannot be used. */
export async function checkConfig(options: CheckOptions, output: Output): Promise<number> {
  if (findConfig(options) === undefined) {
    output.raw("there is no configuration here: name a file or a folder\n");
    return 1;
  }
  try {
    const settings = await requireKeys(await loadSettings(options));
    for (const warning of settings.warnings) output.raw(`warning: ${formatProblem(warning)}\n`);
    if (options.probe && !(await probeConfig(settings, output))) return 1;
    const names = [...settings.config.domains.keys()];
    output.raw(`${settings.path} is good: it serves ${names.join(", ")}\n`);
    return 0;
  } catch (error) {
    for (const line of describeError(error)) output.raw(`${line}\n`);
    return 1;
  }
}

/** `mxcdn config reference`: the reference of all keys, in Markdown. */
export function printReference(output: Output): void {
  output.raw(configReference());
}

/**
 * `mxcdn config check --probe`: asks each csApi of a configuration whether the homeserver of that name answers there, and prints the result.
 * Resolves with true if all do.
 */
async function probeConfig(loaded: LoadedConfig, output: Output): Promise<boolean> {
  const domains = [...loaded.config.domains.values()];
  const findings = await probeHomeservers(domains.map(({ name, csApi }) => ({ serverName: name, csApi })));
  const problems = domains.map(({ name, csApi }, index): ConfigProblem | undefined => {
    const message = wordsOf(findings[index], name);
    if (message !== undefined) return loaded.placeOf(name, { path: ["csApi"], message });
    output.raw(`${name}: its homeserver answers at ${csApi}\n`);
    return undefined;
  });
  const found = problems.filter((one) => one !== undefined);
  for (const problem of found) output.raw(`${formatProblem(problem)}\n`);
  return found.length === 0;
}

function wordsOf(finding: Finding | undefined, serverName: string): string | undefined {
  switch (finding?.kind) {
    case "leads_back":
      return `leads back to a media repository: ${finding.question} is answered by mxcdn; set it to where the homeserver itself answers, such as http://synapse:8008`;
    case "no_homeserver": {
      const what = `status ${finding.status}${finding.isJson ? "" : " and no JSON"}`;
      return `is not answered by a homeserver: ${finding.question} gives ${what}; set it to where the homeserver's client API answers, without a path`;
    }
    case "another":
      return `leads to the homeserver of ${JSON.stringify(finding.serverName)}, not of "${serverName}"`;
    case "unreachable":
      return `cannot be asked: ${whyNot(finding)}`;
    default:
      return undefined;
  }
}

function whyNot({ error, failure }: Extract<Finding, { kind: "unreachable" }>): string {
  const trouble = connectionTrouble(error) ?? BY_FAILURE[failure];
  return trouble ? `${trouble.why}; ${trouble.cure}` : `${error.message}; see that it is the address of its client API`;
}

const BY_FAILURE: Readonly<Partial<Record<string, Trouble>>> = {
  dns: { why: "its host has no address", cure: "see that the name is right" },
  timeout: {
    why: `it does not answer within ${PROBE_MS / 1000} seconds`,
    cure: "see that it runs, and that no firewall is between",
  },
};
