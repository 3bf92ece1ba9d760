import type { Credentials } from "../../shared/matrix/access_token.ts";
import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import type { QuotaRules } from "../access/limits/quotas.ts";
import type { ApplicationService } from "../access/tokens/application_service.ts";
import type { Config, DomainConfig } from "../config/schema.ts";
import type { Homeserver } from "../matrix/homeserver/homeserver.ts";
import type { SigningIdentity } from "../matrix/signing_keys.ts";
import { formatsOf, type ImageFormat } from "../platform/image_types.ts";
import type { Datastore } from "../stores/objects/datastore.ts";

/** What a datastore may be asked to hold (MMR's `forKinds`). */
export type MediaKind = "local_media" | "remote_media" | "thumbnails" | "archives";

/**
 * One homeserver that is served here: what the configuration says of it, and how to ask it. Every number is filled in; 0 bytes
 * means "no limit", as in MMR's configuration.
 */
export interface Domain {
  /** The server name of its users and of the media they upload. */
  readonly serverName: string;
  readonly homeserver: Homeserver;
  /** Whether the bearer of these credentials administers the homeserver. */
  readonly isServerAdmin: (credentials: Credentials) => Promise<boolean>;
  /** How long a good answer about a token is remembered, in milliseconds; 0 remembers nothing. */
  readonly tokenTtlMs: number;
  readonly applicationServices: readonly ApplicationService[];
  /** What a token is worth depends on this: what is remembered under another hash is void. */
  readonly authPolicyHash: string;
  readonly uploads: QuotaRules & {
    readonly maxBytes: number;
    readonly minBytes: number;
    readonly reportedMaxBytes: number;
    /** How long a reserved id waits for its upload. */
    readonly maxAgeSeconds: number;
  };
  readonly downloads: { readonly maxBytes: number };
  /** How other servers are asked on its behalf. */
  readonly federation: {
    /** As whom; without, only the endpoints that need no signature can be asked. */
    readonly signAs: SigningIdentity | undefined;
    /** For one media, from the first question to the last byte. */
    readonly timeoutMs: number;
  };
  readonly thumbnails: {
    readonly maxSourceBytes: number;
    readonly maxAnimateBytes: number;
    readonly stillFrame: number;
    /** Lower-case content types for which thumbnails are made, beside all of pictures. */
    readonly types: ReadonlySet<string>;
    /** What a source must turn out to be: the formats that `types` names. */
    readonly formats: ReadonlySet<ImageFormat>;
  };
  /** Pictures made of a name are drawn. */
  readonly identicons: boolean;
  /** What both tiers need to answer alike. */
  readonly policy: ServingPolicy;
  /** New media is seen only by those who authenticate. */
  readonly freezeNewMedia: boolean;
  /** Where new objects of this kind go. Throws where no datastore takes the kind, and `unavailable` where it is not there. */
  readonly datastoreFor: (kind: MediaKind) => Promise<Datastore>;
}

/** The part of a domain that its configuration says by itself. */
export type DomainSettings = Omit<
  Domain,
  "homeserver" | "isServerAdmin" | "authPolicyHash" | "datastoreFor" | "federation"
>;

/** Reads it from the configuration. */
export function readSettings({ repo }: Config, domain: DomainConfig): DomainSettings {
  const { uploads, downloads, thumbnails } = domain;
  const types = new Set(thumbnails.types.map((type) => type.toLowerCase()));
  const { maxCacheTimeSeconds, useLocalAppserviceConfig, appservices } = domain.accessTokens;
  const tokenTtlMs = Math.max(0, maxCacheTimeSeconds) * 1000;
  return {
    serverName: domain.name,
    tokenTtlMs,
    applicationServices: useLocalAppserviceConfig && tokenTtlMs > 0 ? appservices.map(readApplicationService) : [],
    uploads,
    downloads: { maxBytes: downloads.maxBytes },
    thumbnails: {
      maxSourceBytes: thumbnails.maxSourceBytes,
      maxAnimateBytes: thumbnails.maxAnimateSizeBytes,
      stillFrame: thumbnails.stillFrame,
      types,
      formats: formatsOf(types),
    },
    identicons: domain.identicons.enabled,
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
    freezeNewMedia: repo.freezeUnauthenticatedMedia,
  };
}

function readApplicationService(service: DomainConfig["accessTokens"]["appservices"][number]): ApplicationService {
  return {
    asToken: service.asToken,
    senderUserId: service.senderUserId,
    rateLimited: service.rateLimited,
    userNamespaces: service.userNamespaces.map((namespace) => namespace.regex),
  };
}
