import type { ApplicationService } from "./access/tokens/application_service.ts";
import { fingerprintTerms } from "./access/tokens/terms.ts";
import type { Config, DomainConfig } from "./config/schema.ts";
import type { Domain } from "./domains/domain.ts";
import type { Tenant } from "./domains/tenant.ts";
import { Homeserver } from "./matrix/homeserver/homeserver.ts";
import type { OwnQuestions } from "./matrix/own_questions.ts";
import type { SigningIdentity } from "./matrix/signing_keys.ts";
import type { SafeFetch } from "./net/safe_fetch.ts";
import type { Clock, SteadyClock } from "./platform/clock.ts";
import { formatsOf } from "./platform/image_types.ts";
import type { Datastores } from "./stores/objects/datastores.ts";

/** The part of `app.ts` that turns each homeserver of the configuration into what routes and pipelines need of it. */

/** What making tenants needs of the rest. */
export interface TenantParts {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly safeFetch: SafeFetch;
  readonly ownQuestions: OwnQuestions;
  readonly datastores: Datastores;
  /** As whom each server name signs what it asks of others; those without a key are absent. */
  readonly identities: ReadonlyMap<string, SigningIdentity>;
}

/** One tenant for each homeserver, by server name. */
export function makeTenants(config: Config, parts: TenantParts): Map<string, Tenant> {
  return new Map([...config.domains].map(([name, domain]) => [name, makeTenant(config, domain, parts)]));
}

function makeTenant(config: Config, domain: DomainConfig, parts: TenantParts): Tenant {
  const homeserver = new Homeserver({
    csApi: domain.csApi,
    serverName: domain.name,
    backoffAt: domain.backoffAt > 0 ? domain.backoffAt : 10,
    timeoutMs: domain.timeouts.clientServerTimeoutSeconds * 1000,
    safeFetch: parts.safeFetch,
    clock: parts.clock,
    steady: parts.steady,
    marks: parts.ownQuestions.headersFor(domain.name),
  });
  const { maxCacheTimeSeconds, useLocalAppserviceConfig, appservices } = domain.accessTokens;
  const tokenTtlMs = Math.max(0, maxCacheTimeSeconds) * 1000;
  const applicationServices = useLocalAppserviceConfig && tokenTtlMs > 0 ? appservices.map(toApplicationService) : [];
  const made = makeDomain(config, domain, parts);
  return {
    serverName: domain.name,
    domain: made,
    identicons: domain.identicons.enabled,
    tokenTtlMs,
    applicationServices,
    terms: fingerprintTerms({ csApi: domain.csApi, tokenTtlMs, applicationServices, policy: made.policy }),
    ...askHomeserver(homeserver, domain),
  };
}

function askHomeserver(
  homeserver: Homeserver,
  domain: DomainConfig,
): Pick<Tenant, "whoami" | "isServerAdmin" | "logout" | "versions"> {
  return {
    whoami: (credentials, clientAddress) => homeserver.whoami(credentials, { clientAddress }),
    isServerAdmin: (credentials) => homeserver.isServerAdmin(credentials, domain.adminApiKind),
    versions: (credentials, clientAddress) => homeserver.versions(credentials, { clientAddress }),
    logout: (credentials, all, clientAddress) => homeserver.logout(credentials, { all, clientAddress }),
  };
}

function makeDomain(config: Config, domain: DomainConfig, parts: TenantParts): Domain {
  const { uploads, downloads, thumbnails } = domain;
  const types = new Set(thumbnails.types.map((type) => type.toLowerCase()));
  return {
    serverName: domain.name,
    uploads,
    downloads: { maxBytes: downloads.maxBytes },
    federation: {
      signAs: parts.identities.get(domain.name),
      timeoutMs: domain.timeouts.federationTimeoutSeconds * 1000,
    },
    thumbnails: {
      maxSourceBytes: thumbnails.maxSourceBytes,
      maxAnimateBytes: thumbnails.maxAnimateSizeBytes,
      stillFrame: thumbnails.stillFrame,
      types,
      formats: formatsOf(types),
    },
    policy: {
      thumbnails: {
        sizes: thumbnails.sizes.map(({ width, height }) => ({ width, height })),
        dynamicSizing: thumbnails.dynamicSizing,
        defaultAnimated: thumbnails.defaultAnimated,
        allowAnimated: thumbnails.allowAnimated,
        preferWebp: thumbnails.preferWebp,
      },
      openRangeMaxBytes: downloads.defaultRangeChunkSizeBytes,
    },
    freezeNewMedia: config.repo.freezeUnauthenticatedMedia,
    datastoreFor: (kind) => parts.datastores.pick(domain.datastores, kind),
  };
}

function toApplicationService(service: DomainConfig["accessTokens"]["appservices"][number]): ApplicationService {
  return {
    asToken: service.asToken,
    senderUserId: service.senderUserId,
    rateLimited: service.rateLimited,
    userNamespaces: service.userNamespaces.map((namespace) => namespace.regex),
  };
}
