import { IpNetworks, parseIpAddress, requireIpNetwork } from "../../platform/ip_address.ts";

/** The part of the section `repo` that says which peers are believed. */
export interface ProxySettings {
  readonly trustAnyForwardedAddress: boolean;
  readonly useForwardedHost: boolean;
  /** Addresses and networks. */
  readonly trustedProxies: readonly string[];
}

/** Which peers are believed when they say for whom they ask, and for which host. */
export class TrustedProxies {
  #settings: ProxySettings;
  #networks: IpNetworks;

  constructor(settings: ProxySettings) {
    this.#settings = settings;
    this.#networks = networksOf(settings);
  }

  follow(settings: ProxySettings): void {
    this.#networks = networksOf(settings);
    this.#settings = settings;
  }

  /** Whether the peer at this address may tell the client's address (`X-Forwarded-For`). */
  address(peer: string): boolean {
    return this.#settings.trustAnyForwardedAddress || this.#has(peer);
  }

  /** Whether the peer at this address may tell the host that the client asked for (`X-Forwarded-Host`). */
  host(peer: string): boolean {
    return this.#settings.useForwardedHost && this.#has(peer);
  }

  #has(peer: string): boolean {
    const address = parseIpAddress(peer);
    return address !== undefined && this.#networks.has(address);
  }
}

function networksOf({ trustedProxies }: ProxySettings): IpNetworks {
  return new IpNetworks(trustedProxies.map(requireIpNetwork));
}
