import type { FastifyRequest } from "fastify";
import type { Base } from "./app_base.ts";
import { loadIdentities } from "./app_federation.ts";
import { addDatastores } from "./app_stores.ts";
import { makeTenants, type TenantParts } from "./app_tenants.ts";
import type { Config } from "./config/schema.ts";
import { selectDomain } from "./http/select_domain.ts";
import type { Tenant } from "./http/tenant.ts";
import { makeAddressGuard } from "./net/ip_ranges.ts";
import type { Served } from "./pipelines/authenticate/retire_services.ts";
import type { Clock } from "./platform/clock.ts";
import { bytesByDatastore } from "./stores/db/blobs.ts";

/** The part of `app.ts` that a changed configuration changes while we run. */

/** What follows from the configuration as it is now. */
export interface Current extends Served {
  readonly config: Config;
  readonly tenants: ReadonlyMap<string, Tenant>;
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
  tenantOf(request: FastifyRequest): Tenant;
  /** Lets another configuration hold; throws, with the old one in force, where it cannot. */
  change(config: Config): Promise<void>;
}

const ESTIMATE_MS = 10 * 60_000;

/** Sections of which nothing changes while we run. */
const FIXED = ["database", "edge", "redis", "metrics", "federation"] as const;

/** Makes the tenants of the configuration, and remakes them when it changes. */
export async function makeLive(base: Base): Promise<Live> {
  const { clock, db, safeFetch, datastores } = base;
  const estimateBytes = remembered(clock, ESTIMATE_MS, () => bytesByDatastore(db));
  const read = async (config: Config) =>
    readCurrent(config, { clock, safeFetch, datastores, estimateBytes, identities: await loadIdentities(config) });
  let now = await read(base.config);
  return {
    get now() {
      return now;
    },
    tenantOf: (request) => selectDomain(now.tenants, request.context.host),
    async change(config) {
      addDatastores(datastores, config);
      now = await read(config);
    },
  };
}

/** The sections of a changed configuration that hold only after a restart. */
export function needsRestart(before: Config, after: Config): string[] {
  const listening = ({ repo }: Config) => JSON.stringify([repo.bindAddress, repo.port, repo.logLevel, repo.jsonLogs]);
  const fixed = FIXED.filter((section) => JSON.stringify(before[section]) !== JSON.stringify(after[section]));
  return listening(before) === listening(after) ? fixed : ["repo", ...fixed];
}

function readCurrent(config: Config, parts: TenantParts): Current {
  const { trustAnyForwardedAddress, useForwardedHost, trustedProxies } = config.repo;
  const trusted = makeAddressGuard({ allowedNetworks: trustedProxies, disallowedNetworks: [] });
  return {
    config,
    tenants: makeTenants(config, parts),
    admins: new Set(config.admins),
    sharedSecret: config.sharedSecretAuth.enabled ? config.sharedSecretAuth.token : undefined,
    serverNames: [...config.domains.keys()],
    serviceTokens: [...config.domains.values()].flatMap(({ accessTokens }) =>
      accessTokens.appservices.map((service) => service.asToken),
    ),
    trusted: {
      address: (peer) => trustAnyForwardedAddress || trusted(peer),
      host: (peer) => useForwardedHost && trusted(peer),
    },
  };
}

/** Asks again only when the last good answer is older than `ttlMs` milliseconds. */
function remembered<T>(clock: Clock, ttlMs: number, ask: () => Promise<T>): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | undefined;
  return () => {
    if (last && clock() - last.at <= ttlMs) return last.answer;
    const asked = { at: clock(), answer: ask() };
    last = asked;
    asked.answer.catch(() => {
      if (last === asked) last = undefined;
    });
    return asked.answer;
  };
}
