import { ipv6Value, parseIpAddress } from "../../platform/ip_address.ts";

/** Whose requests and bytes are counted: a user from wherever, a server of the federation or, where nobody said who it is, an address. */
export interface Counted {
  readonly kind: "user" | "server" | "address";
  /** In words for the log and for whoever is refused: "user @a:example.org", "address 192.0.2.1". Equal for who is counted as one. */
  readonly name: string;
  /** Not limited at all. */
  readonly exempt: boolean;
}

const HALF = 64n;

/** A user of ours. */
export function countUser(userId: string, exempt: boolean): Counted {
  return { kind: "user", name: `user ${userId}`, exempt };
}

/** Another server, however its name is written. */
export function countServer(serverName: string): Counted {
  return { kind: "server", name: `server ${serverName.toLowerCase()}`, exempt: false };
}

/** Whoever asks from an address. */
export function countAddress(address: string | undefined): Counted {
  return { kind: "address", name: `address ${networkOf(address)}`, exempt: false };
}

/**
 * What counts as one address: all of an IPv6 /64, since whoever has one of its addresses has them all; an IPv4 address, also where
 * it is written as an IPv6 one. All that is not an address counts as one, so that it is no way around a limit.
 */
export function networkOf(address: string | undefined): string {
  const parsed = address === undefined ? undefined : parseIpAddress(address.replace(/%.*$/, ""));
  if (!parsed) return "unknown";
  if (parsed.family === 4) return parsed.text;
  const upper = ipv6Value(parsed.text) >> HALF;
  return `${[48n, 32n, 16n, 0n].map((shift) => ((upper >> shift) & 0xffffn).toString(16)).join(":")}::/64`;
}
