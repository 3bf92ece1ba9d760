import { isIP } from "node:net";

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
