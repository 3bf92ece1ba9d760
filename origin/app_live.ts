import type { Base } from "./app_base.ts";
import { makeTenants, type TenantParts } from "./app_tenants.ts";
import { restartKeys } from "./config/checks/restart_keys.ts";
import { datastoresOf } from "./config/files/place.ts";
import type { Config } from "./config/schema.ts";
import { type ByHost, byHost, selectDomain } from "./domains/select_domain.ts";
import type { Tenant } from "./domains/tenant.ts";
import { loadIdentities } from "./matrix/signing_keys.ts";
import { IpNetworks, parseIpAddress, requireIpNetwork } from "./platform/ip_address.ts";

/** The part of `app.ts` that a changed configuration changes while we run. */

/** What follows from the configuration as it is now. */
export interface Current {
  readonly config: Config;
  /** By server name. */
  readonly tenants: ReadonlyMap<string, Tenant>;
  readonly tenantsByHost: ByHost<Tenant>;
  readonly admins: ReadonlySet<string>;
  readonly sharedSecret: string | undefined;
  /** Which peers are believed when they say for whom they ask, and under which host. */
  readonly trusted: {
    readonly address: (peer: string) => boolean;
    readonly host: (peer: string) => boolean;
  };
}

/** Whom we serve, and how. */
export interface Live {
  /** Read it when it is needed, and never keep it. */
  readonly now: Current;
  tenantOf(host: string | undefined): Tenant;
  /** Lets another configuration hold; throws, with the old one in force, where it cannot. */
  change(config: Config): Promise<void>;
}

/** Makes the tenants of the configuration, and remakes them when it changes. */
export async function makeLive(base: Base): Promise<Live> {
  const { clock, steady, homeserverFetch, ownQuestions, datastores } = base;
  const read = async (config: Config) => {
    const identities = await loadIdentities(config.domains.values());
    datastores.follow(datastoresOf(config));
    return readCurrent(config, {
      ...{ clock, steady, safeFetch: homeserverFetch, ownQuestions, datastores, identities },
    });
  };
  let now = await read(base.config);
  return {
    get now() {
      return now;
    },
    tenantOf: (host) => selectDomain(now.tenantsByHost, host),
    async change(config) {
      now = await read(config);
    },
  };
}

/** What of a changed configuration holds only after a restart: keys, and `datastores.<id>.opts` of those that are to be at another place. */
export function needsRestart({ config, datastores }: Base, changed: Config): string[] {
  const moved = datastores.elsewhere(datastoresOf(changed)).map((id) => `datastores.${id}.opts`);
  return [...restartKeys(config, changed), ...moved];
}

function readCurrent(config: Config, parts: TenantParts): Current {
  const { trustAnyForwardedAddress, useForwardedHost, trustedProxies } = config.repo;
  const proxies = new IpNetworks(trustedProxies.map(requireIpNetwork));
  const trusted = (peer: string) => {
    const address = parseIpAddress(peer);
    return address !== undefined && proxies.has(address);
  };
  const tenants = makeTenants(config, parts);
  return {
    ...{ config, tenants, tenantsByHost: byHost(tenants) },
    admins: new Set(config.admins),
    sharedSecret: config.sharedSecretAuth.enabled ? config.sharedSecretAuth.token : undefined,
    trusted: {
      address: (peer) => trustAnyForwardedAddress || trusted(peer),
      host: (peer) => useForwardedHost && trusted(peer),
    },
  };
}
