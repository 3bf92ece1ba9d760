import { createHash } from "node:crypto";
import { LOCAL_BUCKET, localBucketEndpoint } from "../local_bucket.ts";
import type { Config, DatastoreConfig, DomainConfig, MainConfig, ParsedDomain } from "../schema.ts";
import { withHost } from "../sections/redis.ts";

type ParsedStore = ParsedDomain["datastores"][number];

/** Makes the configuration that the origin sees of what was parsed and found right. */
export function assemble(main: MainConfig, domains: readonly ParsedDomain[]): Config {
  const { homeservers: _, edge, ...sections } = main;
  return {
    ...sections,
    edge: { ...edge, bucket: usesLocalBucket(edge) ? localBucket(edge.localPort) : edge.bucket },
    redis: { ...main.redis, shards: main.redis.shards.map((one) => ({ ...one, addr: withHost(one.addr) })) },
    accessTokens: withTtl(main.accessTokens),
    datastores: usableStores(main.datastores),
    domains: new Map(domains.map((domain) => [domain.name, assembleDomain(domain)])),
  };
}

/** Is the bucket meant the one that a local edge brings along? */
export function usesLocalBucket({ enabled, bucket }: MainConfig["edge"]): boolean {
  return enabled && bucket.endpoint === "";
}

/** The id of a datastore that names none: the first 40 hexadecimal characters of the SHA-256 of its address. */
export function derivedId(store: ParsedStore): string {
  const address = store.type === "s3" ? s3Address(store.opts) : store.type === "file" ? store.opts.path : "ipfs";
  return createHash("sha256").update(address).digest("hex").slice(0, 40);
}

function assembleDomain(domain: ParsedDomain): DomainConfig {
  return {
    ...domain,
    csApi: domain.csApi.replace(/\/+$/, ""),
    backoffAt: domain.backoffAt > 0 ? domain.backoffAt : 10,
    accessTokens: withTtl(domain.accessTokens),
    datastores: usableStores(domain.datastores),
  };
}

function withTtl(tokens: MainConfig["accessTokens"]): MainConfig["accessTokens"] {
  return { ...tokens, maxCacheTimeSeconds: Math.max(0, tokens.maxCacheTimeSeconds) };
}

function usableStores(stores: readonly ParsedStore[]): DatastoreConfig[] {
  return stores.flatMap((store) => {
    if (store.type === "ipfs") return [];
    const { enabled, ...rest } = store;
    return [{ ...rest, id: store.id || derivedId(store), forKinds: enabled ? store.forKinds : [] }];
  });
}

function s3Address({ endpoint, bucketName, region }: { endpoint: string; bucketName: string; region: string }): string {
  return `s3://${endpoint}/${bucketName}${region === "" ? "" : `?region=${region}`}`;
}

function localBucket(port: number): MainConfig["edge"]["bucket"] {
  return { ...LOCAL_BUCKET, endpoint: localBucketEndpoint(port), region: "auto" };
}
