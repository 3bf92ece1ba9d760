import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../config/schema.ts";

/** What `npm start` tells when both tiers answer: a file for scripts, and commands to paste. */

/** The addresses and credentials of two running tiers, for scripts. */
export interface DevFacts {
  /** Addresses without a slash at their end. */
  readonly origin: string;
  readonly edge: string;
  readonly server_name: string;
  /** A token that works: that of the first application service judged here. `null`: there is none. */
  readonly token: string | null;
}

/** The file of the facts; it exists while both tiers answer. */
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

/**
 * What `npm start` says when both tiers answer: the addresses, and commands to paste. Where several homeservers are served
 * (`nameHost`), the commands name the one they mean.
 */
export function banner({ origin, edge, server_name, token }: DevFacts, file: string, nameHost: boolean): string {
  const headers = `${nameHost ? `-H "Host: ${server_name}" ` : ""}-H "Authorization: Bearer ${token ?? "$TOKEN"}"`;
  const where = token === null ? `   (TOKEN: the access token of a user of ${server_name})\n` : "";
  return `
mxcdn is ready for ${server_name}.

  edge    ${edge}   for clients
  origin  ${origin}

Upload a picture, then fetch its thumbnail:
${where}
  ${uploadLine(edge, headers)}

  ${thumbnailLine(edge, headers)}

The same facts for scripts are in ${file}. Ctrl-C ends both.
`;
}

/** The answer is kept in a file, so that the next line knows the id. */
function uploadLine(edge: string, headers: string): string {
  const url = `${edge}/_matrix/media/v3/upload?filename=photo.jpg`;
  return `curl -sS -X POST ${headers} -H "Content-Type: image/jpeg" --data-binary @photo.jpg "${url}" | tee upload.json`;
}

function thumbnailLine(edge: string, headers: string): string {
  const id = `$(sed 's|.*mxc://\\([^"]*\\)".*|\\1|' upload.json)`;
  const url = `${edge}/_matrix/client/v1/media/thumbnail/${id}?width=320&height=240&method=scale`;
  return `curl -sS ${headers} -o thumbnail.jpg "${url}"`;
}
