import type { IncomingMessage, ServerResponse } from "node:http";
import { FederationClient } from "../../origin/matrix/federation/federation_client.ts";
import { HostCircuits } from "../../origin/matrix/federation/host_circuits.ts";
import { ServerResolver } from "../../origin/matrix/federation/resolve.ts";
import type { AddressGuard } from "../../origin/net/address_guard.ts";
import type { SrvRecord } from "../../origin/net/dns.ts";
import { makeSafeFetch, type SafeFetch } from "../../origin/net/safe_fetch.ts";
import { type Authority, makeAuthority } from "./certificates.ts";
import { type Listener, listen } from "./listener.ts";

/** Another Matrix server on loopback, with a certificate for `peer.example`, and us asking it. */
export interface FederationPeer {
  authority: Authority;
  listener: Listener;
  /** Server name with which discovery ends at the listener at once. */
  name: string;
  /** Answers the next requests. */
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  safeFetch: SafeFetch;
  circuits: HostCircuits;
  federation: FederationClient;
  /** Milliseconds; a test moves it. */
  nowMs: number;
  /** The SRV records that exist. */
  srv: Record<string, SrvRecord[]>;
  close(): Promise<void>;
}

/** Starts it. Every name has the address 127.0.0.1, unless `addresses` says otherwise. */
export async function startPeer(
  options: { backoffAt?: number; allows?: AddressGuard; addresses?: (hostname: string) => string[] } = {},
): Promise<FederationPeer> {
  const authority = makeAuthority();
  const tls = authority.issue("DNS:peer.example", "DNS:*.peer.example");
  const listener = await listen((request, response) => peer.answer(request, response), { tls });
  const safeFetch = makeSafeFetch({
    allows: options.allows ?? (() => true),
    addresses: async (hostname) => options.addresses?.(hostname) ?? ["127.0.0.1"],
    userAgent: "mxcdn",
    ca: authority.ca,
  });
  const clock = () => peer.nowMs;
  const circuits = new HostCircuits({ failures: options.backoffAt ?? 20, clock });
  const srv = async (name: string) => peer.srv[name] ?? [];
  const resolver = new ServerResolver({ safeFetch, srv, clock, random: () => 0.5 });
  const peer: FederationPeer = {
    authority,
    listener,
    name: `peer.example:${listener.port}`,
    answer: (_, response) => response.writeHead(404).end(),
    safeFetch,
    circuits,
    federation: new FederationClient({ safeFetch, resolver, circuits, clock }),
    nowMs: 1_700_000_000_000,
    srv: {},
    async close() {
      await safeFetch.close();
      await listener.close();
      authority.close();
    },
  };
  return peer;
}
