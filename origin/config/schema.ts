import * as z from "zod";
import { texts } from "./fields.ts";
import { databaseSchema } from "./sections/database.ts";
import { datastoresSchema } from "./sections/datastores.ts";
import { downloadsSchema } from "./sections/downloads.ts";
import { edgeSchema } from "./sections/edge.ts";
import { federationSchema } from "./sections/federation.ts";
import { homeserverShape, homeserversSchema } from "./sections/homeservers.ts";
import { archivingSchema, identiconsSchema, quarantineSchema } from "./sections/moderation.ts";
import {
  featureSupportSchema,
  metricsSchema,
  pgoSchema,
  pluginsSchema,
  sentrySchema,
  tasksSchema,
} from "./sections/operations.ts";
import { rateLimitSchema } from "./sections/rate_limit.ts";
import { redisSchema } from "./sections/redis.ts";
import { repoSchema } from "./sections/repo.ts";
import { thumbnailsSchema } from "./sections/thumbnails.ts";
import { timeoutsSchema } from "./sections/timeouts.ts";
import { accessTokensSchema, sharedSecretSchema } from "./sections/tokens.ts";
import { uploadsSchema } from "./sections/uploads.ts";
import { urlPreviewsSchema } from "./sections/url_previews.ts";

/** The sections that a per-domain file may set, each merged deeply over the main one. */
const domainSections = {
  datastores: datastoresSchema,
  uploads: uploadsSchema,
  downloads: downloadsSchema,
  thumbnails: thumbnailsSchema,
  accessTokens: accessTokensSchema,
  timeouts: timeoutsSchema,
  urlPreviews: urlPreviewsSchema,
  identicons: identiconsSchema,
  quarantine: quarantineSchema,
  archiving: archivingSchema,
  featureSupport: featureSupportSchema,
};

/** The whole of a configuration, as its main files say it. */
export const mainSchema = z.object({
  repo: repoSchema,
  homeservers: homeserversSchema,
  admins: texts([], "Users who administer the whole repository, `@user:example.org`.", { live: true }),
  database: databaseSchema,
  edge: edgeSchema,
  sharedSecretAuth: sharedSecretSchema,
  ...domainSections,
  federation: federationSchema,
  rateLimit: rateLimitSchema,
  redis: redisSchema,
  metrics: metricsSchema,
  tasks: tasksSchema,
  plugins: pluginsSchema,
  sentry: sentrySchema,
  pgo: pgoSchema,
});

/** What holds for one homeserver: its entry in `homeservers`, the main sections, and its per-domain files over both. */
export const domainSchema = z.object({ name: z.string(), ...homeserverShape, ...domainSections });

/** A per-domain file. */
export const domainFileSchema = z.object({
  homeserver: z.string().meta({ type: "server name", description: "The homeserver that this file is for." }),
  ...homeserverShape,
  ...domainSections,
});

/** The keys of main sections that a domain inherits. */
export const DOMAIN_SECTIONS = Object.keys(domainSections) as readonly (keyof typeof domainSections)[];

/** The keys at the top of a per-domain file that say how to reach the homeserver. */
export const HOMESERVER_KEYS = Object.keys(homeserverShape) as readonly (keyof typeof homeserverShape)[];

/** The parsed main files, before rules across keys are applied. */
export type MainConfig = z.output<typeof mainSchema>;
/** One parsed domain, before rules across keys are applied. */
export type ParsedDomain = z.output<typeof domainSchema>;

/** A value that nobody changes. */
export type DeepReadonly<T> = unknown extends T
  ? T
  : T extends RegExp | string | number | boolean | undefined
    ? T
    : T extends readonly (infer E)[]
      ? readonly DeepReadonly<E>[]
      : { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** A datastore: a folder, or a bucket behind the S3 protocol. Stores that take nothing new have an empty `forKinds`. */
export type DatastoreConfig = DeepReadonly<
  Omit<Extract<ParsedDomain["datastores"][number], { type: "file" }>, "enabled"> | S3Store
>;
type S3Store = Omit<Extract<ParsedDomain["datastores"][number], { type: "s3" }>, "enabled">;

/** One homeserver, with everything that holds for it. Every field is filled. */
export type DomainConfig = DeepReadonly<Omit<ParsedDomain, "datastores">> & {
  readonly datastores: readonly DatastoreConfig[];
};

/** The whole configuration. Every field is filled; sections that a domain may override hold the main value here. */
export type Config = DeepReadonly<Omit<MainConfig, "homeservers" | "datastores">> & {
  readonly datastores: readonly DatastoreConfig[];
  /** By server name, in the order of the files. */
  readonly domains: ReadonlyMap<string, DomainConfig>;
};
