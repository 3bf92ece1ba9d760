import { type ConfigProblem, formatProblem } from "../../config/checks/config_error.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { type Finding, PROBE_MS, probeHomeservers } from "../../matrix/probe_homeserver.ts";
import type { Say } from "../say.ts";
import { connectionTrouble, type Trouble } from "./connection_trouble.ts";

/**
 * `mxcdn config check --probe`: asks each homeserver of a configuration whether it is the one that is meant, and says so of each.
 * Resolves with whether all are.
 */
export async function probeConfig(loaded: LoadedConfig, say: Say): Promise<boolean> {
  const domains = [...loaded.config.domains.values()];
  const findings = await probeHomeservers(domains.map(({ name, csApi }) => ({ serverName: name, csApi })));
  const problems = domains.map(({ name, csApi }, index): ConfigProblem | undefined => {
    const message = wordsOf(findings[index], name);
    if (message !== undefined) return loaded.placeOf(name, { path: ["csApi"], message });
    say.raw(`${name}: its homeserver answers at ${csApi}\n`);
    return undefined;
  });
  const found = problems.filter((one) => one !== undefined);
  for (const problem of found) say.raw(`${formatProblem(problem)}\n`);
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
