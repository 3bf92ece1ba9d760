import { isIP } from "node:net";

/** An IP address as a number of 32 or 128 bits. */
export interface IpAddress {
  family: 4 | 6;
  value: bigint;
}

/** All addresses that share their first `prefix` bits. */
export interface IpNetwork extends IpAddress {
  prefix: number;
}

const BITS = { 4: 32, 6: 128 } as const;
const MAPPED = 0xffffn;

/**
 * Reads an address in its usual notation, `undefined` if it is none. An IPv4 address mapped into IPv6 (`::ffff:127.0.0.1`)
 * is that IPv4 address, since that is what a socket would dial. Zones (`fe80::1%eth0`) are not accepted.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const family = text.includes("%") ? 0 : isIP(text);
  if (family === 4) return { family, value: ipv4Value(text) };
  if (family !== 6) return undefined;
  const value = ipv6Value(text);
  return value >> 32n === MAPPED ? ipv4Of(value) : { family, value };
}

/** Reads a network in CIDR notation or a single address; bits behind the prefix are ignored, so `127.0.0.1/8` is `127.0.0.0/8`. */
export function parseIpNetwork(text: string): IpNetwork | undefined {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const family = address.includes("%") ? 0 : isIP(address);
  if (family !== 4 && family !== 6) return undefined;
  const prefix = length === undefined ? BITS[family] : Number(length);
  if (prefix > BITS[family]) return undefined;
  const value = family === 4 ? ipv4Value(address) : ipv6Value(address);
  const mapped = family === 6 && prefix >= 96 && value >> 32n === MAPPED;
  return mapped ? { ...ipv4Of(value), prefix: prefix - 96 } : { family, value, prefix };
}

/** True if the address, or the whole of a smaller network, lies in the network. IPv4 and IPv6 are never in each other. */
export function isInNetwork(network: IpNetwork, address: IpAddress | IpNetwork): boolean {
  if (network.family !== address.family) return false;
  if ("prefix" in address && address.prefix < network.prefix) return false;
  const shift = BigInt(BITS[network.family] - network.prefix);
  return network.value >> shift === address.value >> shift;
}

/** The IPv4 address in the lowest 32 bits of a number. */
export function ipv4Of(value: bigint): IpAddress {
  return { family: 4, value: value & 0xffff_ffffn };
}

function ipv4Value(text: string): bigint {
  return text.split(".").reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function ipv6Value(text: string): bigint {
  const dotted = /[^:]+\.[^:]+$/.exec(text)?.[0];
  const low = dotted === undefined ? undefined : ipv4Value(dotted);
  const hex =
    low === undefined ? text : text.replace(/[^:]+$/, `${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  const [head = [], tail = []] = hex.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
