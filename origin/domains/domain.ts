import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import type { QuotaRules } from "../access/limits/quota.ts";
import type { SigningIdentity } from "../matrix/signing_keys.ts";
import type { ImageFormat } from "../platform/image_types.ts";
import type { Datastore } from "../stores/objects/datastore.ts";

/** What a datastore may be asked to hold (MMR's `forKinds`). */
export type MediaKind = "local_media" | "remote_media" | "thumbnails" | "archives";

/**
 * One homeserver that this origin serves, with the part of the configuration that the pipelines need. Every number is
 * filled in; 0 bytes means "no limit" as in MMR's configuration.
 */
export interface Domain {
  /** The server name of its users and of the media they upload. */
  readonly serverName: string;
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
  /** What both tiers need to answer alike. */
  readonly policy: ServingPolicy;
  /** New media is seen only by those who authenticate. */
  readonly freezeNewMedia: boolean;
  /** Where new objects of this kind go. Throws when no datastore takes the kind, 503 where it is not there. */
  readonly datastoreFor: (kind: MediaKind) => Promise<Datastore>;
}
