import { BlockList, isIP } from "node:net";

/** IP addresses and networks, as peers have them and the configuration lists them. */

/** An IP address in a usual notation; one of IPv4 in the only one that it has. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly text: string;
}

/** All addresses that share their first `prefix` bits. */
export interface IpNetwork extends IpAddress {
  readonly prefix: number;
}

const BITS = { 4: 32, 6: 128 } as const;
const MAPPED = 0xffffn;

/**
 * Reads an address in its usual notation; `undefined` if the text has another. An IPv4 address mapped into IPv6
 * (`::ffff:127.0.0.1`) is that IPv4 address, since that is what a socket would dial. Zones (`fe80::1%eth0`) are not accepted.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const family = text.includes("%") ? 0 : isIP(text);
  if (family === 4) return { family, text };
  if (family !== 6) return undefined;
  const value = ipv6Value(text);
  return value >> 32n === MAPPED ? ipv4Of(value) : { family, text };
}

/** Reads a network in CIDR notation or a single address; bits behind the prefix are ignored, so `127.0.0.1/8` is `127.0.0.0/8`. */
export function parseIpNetwork(text: string): IpNetwork | undefined {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const family = address.includes("%") ? 0 : isIP(address);
  if (family !== 4 && family !== 6) return undefined;
  const prefix = length === undefined ? BITS[family] : Number(length);
  if (prefix > BITS[family]) return undefined;
  if (family === 4 || prefix < 96) return { family, text: address, prefix };
  const value = ipv6Value(address);
  return value >> 32n === MAPPED ? { ...ipv4Of(value), prefix: prefix - 96 } : { family, text: address, prefix };
}

/** Reads a network of the configuration or of our own. Throws an Error that names the text if it has another form. */
export function requireIpNetwork(text: string): IpNetwork {
  const network = parseIpNetwork(text);
  if (!network) throw new Error(`Cannot use "${text}" as a network: expected one such as 10.0.0.0/8 or fc00::/7`);
  return network;
}

/** A list of networks. IPv4 and IPv6 addresses are never in each other's. */
export class IpNetworks {
  readonly #all: readonly IpNetwork[];
  readonly #lists = { 4: new BlockList(), 6: new BlockList() };

  constructor(networks: readonly IpNetwork[]) {
    this.#all = networks;
    for (const { family, text, prefix } of networks) this.#lists[family].addSubnet(text, prefix, `ipv${family}`);
  }

  /** True if the address lies in one of them. */
  has({ family, text }: IpAddress): boolean {
    return this.#lists[family].check(text, `ipv${family}`);
  }

  /** True if the whole of a network lies in one of them. */
  covers({ prefix, ...network }: IpNetwork): boolean {
    const around = this.#all.filter((one) => one.family === network.family && one.prefix <= prefix);
    return new IpNetworks(around).has(network);
  }
}

/** An IPv6 address as a number of 128 bits. */
export function ipv6Value(text: string): bigint {
  const dotted = /[^:]+\.[^:]+$/.exec(text)?.[0];
  const low = dotted === undefined ? undefined : ipv4Value(dotted);
  const hex =
    low === undefined ? text : text.replace(/[^:]+$/, `${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  const [head = [], tail = []] = hex.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The IPv4 address in the lowest 32 bits of a number. */
export function ipv4Of(value: bigint): IpAddress {
  return { family: 4, text: [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".") };
}

function ipv4Value(text: string): bigint {
  return text.split(".").reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}
