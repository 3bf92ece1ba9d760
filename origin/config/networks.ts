import { isIP } from "node:net";
import * as z from "zod";
import type { KeyDoc } from "./key_doc.ts";

/** Loopback, the private networks of RFC 1918 and RFC 4193, carrier-grade NAT and link-local addresses. */
export const LOCAL_NETWORKS = [
  "127.0.0.1/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "::1/128",
  "fe80::/64",
  "fc00::/7",
] as const;

/** Where reverse proxies stand: this machine and private networks. */
export const PROXY_NETWORKS = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "::1/128",
  "fc00::/7",
  "fe80::/10",
] as const;

/** A list of networks in CIDR notation; a bare address stands for itself. */
export function networks(fallback: readonly string[], description: string, more: Omit<KeyDoc, "description"> = {}) {
  const error = "must be a network such as 10.0.0.0/8 or fc00::/7";
  const one = z.string({ error }).refine(isNetwork, { error });
  return z
    .array(one, { error: "must be a list of networks" })
    .default([...fallback])
    .meta({ type: "list of networks", default: fallback, ...more, description });
}

/** Is this a network in CIDR notation (RFC 4632, RFC 4291 §2.3), or one address? Bits beyond the prefix may be set. */
export function isNetwork(text: string): boolean {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}
