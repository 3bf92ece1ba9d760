import { lookup, Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { FetchError, isShortage, toFetchError } from "./fetch_error.ts";

/** One SRV record (RFC 2782). */
export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** The two questions that we ask the DNS. No such name, or none of that kind, is an empty list; no answer is a {@link FetchError}. */
export interface Dns {
  /** Every IPv4 and IPv6 address of a name, CNAMEs followed, the families alternating. */
  addresses(hostname: string): Promise<string[]>;
  /** The SRV records under a name, in no order. */
  srv(name: string): Promise<SrvRecord[]>;
}

const ABSENT = new Set(["ENOTFOUND", "ENODATA", "NOTFOUND", "NODATA"]);

/**
 * The DNS for names that others choose. Asks the name servers itself, after the hosts file: the system's own look-up works
 * in the few threads that files need as well, and slow names would stop those.
 */
export function makeDns(options: { timeoutMs: number; hostsFile?: string; servers?: readonly string[] }): Dns {
  const resolver = new Resolver({ timeout: options.timeoutMs, tries: 2 });
  if (options.servers) resolver.setServers([...options.servers]);
  const hostsFile = options.hostsFile ?? "/etc/hosts";

  return {
    async addresses(hostname) {
      const known = findInHosts(await readFile(hostsFile, "utf8").catch(emptyUnlessShort), hostname);
      if (known.length > 0) return known;
      const [six, four] = await Promise.allSettled([resolver.resolve6(hostname), resolver.resolve4(hostname)]);
      const found = alternate(
        six.status === "fulfilled" ? six.value : [],
        four.status === "fulfilled" ? four.value : [],
      );
      if (found.length > 0) return found;
      requireAbsent(six, hostname);
      requireAbsent(four, hostname);
      return [];
    },
    async srv(name) {
      try {
        return await resolver.resolveSrv(name);
      } catch (error) {
        return orAbsent(error, name);
      }
    },
  };
}

/** The addresses of a name by the machine's own rules: for names from the configuration, which may be known to them alone. */
export async function systemAddresses(hostname: string): Promise<string[]> {
  try {
    return (await lookup(hostname, { all: true, order: "verbatim" })).map((entry) => entry.address);
  } catch (error) {
    return orAbsent(error, hostname);
  }
}

function requireAbsent(outcome: PromiseSettledResult<unknown>, name: string): void {
  if (outcome.status === "rejected") orAbsent(outcome.reason, name);
}

function orAbsent(error: unknown, name: string): never[] {
  if (ABSENT.has(String((error as { code?: unknown }).code))) return [];
  throw new FetchError("dns", `Cannot look up "${name}"`, error);
}

function alternate(first: readonly string[], second: readonly string[]): string[] {
  const length = Math.max(first.length, second.length);
  return Array.from({ length }, (_, index) => [first[index], second[index]])
    .flat()
    .filter((address) => address !== undefined);
}

/** No hosts file is an empty one; that we cannot open it now is something else. */
function emptyUnlessShort(error: unknown): string {
  if (isShortage(error)) throw toFetchError(error);
  return "";
}

/** The addresses that a hosts file (hosts(5)) gives a name, in its order; names are compared without case. */
export function findInHosts(text: string, hostname: string): string[] {
  const wanted = hostname.toLowerCase().replace(/\.$/, "");
  const found: string[] = [];
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (isIP(address) !== 0 && names.some((name) => name.toLowerCase() === wanted)) found.push(address);
  }
  return found;
}
