import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../config/schema.ts";

/** What scripts may want to know of two running tiers. */
export interface DevFacts {
  /** Addresses without a slash at their end. */
  readonly origin: string;
  readonly edge: string;
  readonly server_name: string;
  /** A token that works: that of the first application service judged here. `null`: there is none. */
  readonly token: string | null;
}

/** The file they stand in, while both tiers answer. */
export function devFactsFile(data: string): string {
  return join(data, "dev.json");
}

/** Collects the facts. */
export function devFactsOf(config: Config, addresses: Pick<DevFacts, "origin" | "edge">): DevFacts {
  const [domain] = config.domains.values();
  const tokens = domain?.accessTokens;
  const local = tokens?.useLocalAppserviceConfig && tokens.maxCacheTimeSeconds > 0 ? tokens.appservices : [];
  const usable = local.find((service) => service.senderUserId.endsWith(`:${domain?.name}`));
  return { ...addresses, server_name: domain?.name ?? "", token: usable?.asToken ?? null };
}

/** Writes the facts whole or not at all, readable by their owner only. */
export async function writeDevFacts(data: string, facts: DevFacts): Promise<void> {
  const file = devFactsFile(data);
  await mkdir(data, { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(facts, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Removes them; they may be gone already. */
export async function removeDevFacts(data: string): Promise<void> {
  await rm(devFactsFile(data), { force: true });
}
