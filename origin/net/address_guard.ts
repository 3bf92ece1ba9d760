import {
  type IpAddress,
  IpNetworks,
  ipv4Of,
  ipv6Value,
  parseIpAddress,
  requireIpNetwork,
} from "../platform/ip_address.ts";

/** Says whether an address may be dialled on behalf of somebody who is not the operator. Any other text may not. */
export type AddressGuard = (address: string) => boolean;

/** Networks in CIDR notation, as `urlPreviews` and `federation` of the configuration list them. */
export interface NetworkLists {
  readonly allowedNetworks: readonly string[];
  readonly disallowedNetworks: readonly string[];
}

/**
 * Ranges that hold no server of anybody, or lead somewhere else than they seem to: closed unless `allowedNetworks` names
 * one of them or a part of it. Loopback, private and unique local addresses are not among them: those are opened and closed
 * by the two lists alone, as in matrix-media-repo. (IANA special-purpose address registries, RFC 6890.)
 */
const SPECIAL = listOf([
  "0.0.0.0/8", // this host: Linux connects 0.0.0.0 to loopback
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast
  "::/3", // unspecified, IPv4-compatible, IPv4-translated, local NAT64, discard-only, unassigned
  "2001::/23", // Teredo, ORCHID and other protocol assignments
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4
  "3ffe::/16", // the former 6bone
  "3fff::/20", // documentation
  "4000::/2", // unassigned
  "8000::/1", // unassigned, link-local, site-local, multicast
]);

/** Parts of {@link SPECIAL} that the lists decide like any other: loopback, unique local addresses, and NAT64, whose IPv4 decides. */
const ORDINARY = listOf(["::1/128", "fc00::/7", "64:ff9b::/96"]);

/**
 * The guard of two lists. An address passes if it is in no disallowed network, in an allowed one, and not special without
 * being named; an IPv6 address that carries an IPv4 address (NAT64, 6to4, Teredo, ISATAP, IPv4-compatible) passes only if
 * that one does too. An empty list is empty: nothing allowed, or nothing disallowed.
 *
 * Throws for an entry of another form: ignoring it could open what the operator meant to close.
 */
export function makeAddressGuard(lists: NetworkLists): AddressGuard {
  const networks = lists.allowedNetworks.map(requireIpNetwork);
  const allowed = new IpNetworks(networks);
  /** Special ranges, or parts of them, that are named. */
  const opened = new IpNetworks(networks.filter((network) => SPECIAL.covers(network)));
  const disallowed = listOf(lists.disallowedNetworks);

  function passes(address: IpAddress): boolean {
    if (disallowed.has(address)) return false;
    const isSpecial = SPECIAL.has(address) && !ORDINARY.has(address);
    return (isSpecial ? opened : allowed).has(address) && carriedIpv4(address).every(passes);
  }

  return (text) => {
    const address = parseIpAddress(text);
    return address !== undefined && passes(address);
  };
}

const COMPATIBLE = listOf(["::/96"]);
/** Ranges with an IPv4 address in their lowest bits: NAT64, local NAT64, IPv4-translated. */
const TRANSLATED = listOf(["64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96"]);
const TEREDO = listOf(["2001::/32"]);
const SIX_TO_FOUR = listOf(["2002::/16"]);
const LOOPBACK = 1n;
const ISATAP = 0x0000_5efen;
/** The bit that marks an interface identifier as globally unique; ISATAP sets it or not (RFC 5214, section 6.1). */
const ISATAP_UNIVERSAL_BIT = 0x0200_0000n;

/** Every IPv4 address that an IPv6 address leads to, or may lead to. */
function carriedIpv4(address: IpAddress): IpAddress[] {
  if (address.family === 4) return [];
  const value = ipv6Value(address.text);
  const carried: IpAddress[] = [];
  const low = ipv4Of(value);
  if (TRANSLATED.has(address)) carried.push(low);
  if (COMPATIBLE.has(address) && value !== LOOPBACK) carried.push(low);
  if (SIX_TO_FOUR.has(address)) carried.push(ipv4Of(value >> 80n));
  // Teredo (RFC 4380, section 4): the server's address, and the client's with every bit turned over.
  if (TEREDO.has(address)) carried.push(ipv4Of(value >> 64n), ipv4Of(~value));
  if ((((value >> 32n) & 0xffff_ffffn) | ISATAP_UNIVERSAL_BIT) === (ISATAP | ISATAP_UNIVERSAL_BIT)) carried.push(low);
  return carried;
}

function listOf(networks: readonly string[]): IpNetworks {
  return new IpNetworks(networks.map(requireIpNetwork));
}
