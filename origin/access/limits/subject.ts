import { ipv6Value, parseIpAddress } from "../../platform/ip_address.ts";

/** Whose requests and bytes are counted: a user wherever it is, a server of the federation, or, where nobody said who it is, an address. */
export type Counted =
  | { readonly kind: "user"; readonly userId: string /** Not limited at all. */; readonly exempt: boolean }
  | { readonly kind: "server"; readonly serverName: string }
  | { readonly kind: "address"; readonly address: string | undefined };

const HALF = 64n;

/** Who is counted, in words for the log and for whoever is refused: "user @a:example.org", "address 192.0.2.1". */
export function nameOf(who: Counted): string {
  switch (who.kind) {
    case "user":
      return `user ${who.userId}`;
    case "server":
      return `server ${who.serverName.toLowerCase()}`;
    case "address":
      return `address ${networkOf(who.address)}`;
    default:
      return who satisfies never;
  }
}

/**
 * What counts as one address: all of an IPv6 /64, since whoever has one of its addresses has them all; an IPv4 address,
 * also where it is written as an IPv6 one. What is no address at all counts as one, so that it is no way around a limit.
 */
export function networkOf(address: string | undefined): string {
  const parsed = address === undefined ? undefined : parseIpAddress(address.replace(/%.*$/, ""));
  if (!parsed) return "unknown";
  if (parsed.family === 4) return parsed.text;
  const upper = ipv6Value(parsed.text) >> HALF;
  return `${[48n, 32n, 16n, 0n].map((shift) => ((upper >> shift) & 0xffffn).toString(16)).join(":")}::/64`;
}
