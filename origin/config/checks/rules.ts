import { isToken } from "../../../shared/matrix/access_token.ts";
import { derivedId } from "../files/assemble.ts";
import type { Remark } from "../files/layers.ts";
import { placeOf } from "../files/place.ts";
import type { MainConfig, ParsedDomain } from "../schema.ts";
import { MIN_SECRET_LENGTH } from "../sections/edge.ts";
import { TOKEN_FORM } from "../sections/tokens.ts";
import { ConfigError, type ConfigProblem } from "./config_error.ts";
import { isSampleSecret } from "./sample_secrets.ts";

type Stores = readonly ParsedDomain["datastores"][number][];

/** What is wrong with the main files although each key for itself is right. */
export function mainBreaches(main: MainConfig): Remark[] {
  return [
    ...edgeBreaches(main.edge),
    ...secretBreaches(main),
    ...tokenBreaches(main),
    ...redisBreaches(main),
    ...repeatedNames(main),
  ];
}

/** The same for what holds for one domain. */
export function domainBreaches(domain: ParsedDomain): Remark[] {
  return [...datastoreBreaches(domain.datastores), ...domainSecretBreaches(domain)];
}

function edgeBreaches(edge: MainConfig["edge"]): Remark[] {
  if (!edge.enabled) return [];
  const { bucket, hopSecret } = edge;
  const breaches: Remark[] = [];
  if (hopSecret.length < MIN_SECRET_LENGTH) {
    const message =
      hopSecret === ""
        ? `is needed while edge.enabled is true: at least ${MIN_SECRET_LENGTH} characters, the same as the Worker's secret HOP_SECRET`
        : `is too short: it must have at least ${MIN_SECRET_LENGTH} characters`;
    breaches.push({ path: ["edge", "hopSecret"], message });
  }
  const named = [bucket.endpoint, bucket.bucketName, bucket.accessKeyId, bucket.accessSecret].some((one) => one !== "");
  for (const key of ["endpoint", "bucketName"] as const) {
    if (named && bucket[key] === "")
      breaches.push({ path: ["edge", "bucket", key], message: "is needed to find the bucket" });
  }
  if ((bucket.accessKeyId === "") !== (bucket.accessSecret === "")) {
    const missing = bucket.accessKeyId === "" ? "accessKeyId" : "accessSecret";
    breaches.push({ path: ["edge", "bucket", missing], message: "is needed: a key has an id and a secret" });
  }
  return breaches;
}

/** What is still as a sample has it opens the door to everybody, or opens none. */
function secretBreaches({ sharedSecretAuth, edge, database, redis }: MainConfig): Remark[] {
  const { bucket } = edge;
  return [
    ...(sharedSecretAuth.enabled
      ? sampleBreach(["sharedSecretAuth", "token"], sharedSecretAuth.token || "ReplaceMe")
      : []),
    ...(edge.enabled
      ? [
          ...sampleBreach(["edge", "hopSecret"], edge.hopSecret),
          ...sampleBreach(["edge", "bucket", "accessKeyId"], bucket.accessKeyId, GIVEN),
          ...sampleBreach(["edge", "bucket", "accessSecret"], bucket.accessSecret, GIVEN),
        ]
      : []),
    ...sampleBreach(
      ["database", "postgres"],
      passwordOf(database.postgres),
      "holds a sample's password: put the user's own there",
    ),
    ...(redis.enabled ? redis.shards : []).flatMap(({ addr }, index) =>
      sampleBreach(
        ["redis", "shards", index, "addr"],
        passwordOf(addr),
        "holds a sample's password: put its own there",
      ),
    ),
  ];
}

const OWN = "must be a secret of your own, not a sample's: make one with `openssl rand -base64 32`";
const GIVEN = "must be what the store has given you, not a sample's";

function sampleBreach(path: readonly PropertyKey[], secret: string, message = OWN): Remark[] {
  return isSampleSecret(secret) ? [{ path, message }] : [];
}

function passwordOf(url: string): string {
  try {
    return decodeURIComponent(new URL(url).password);
  } catch {
    return "";
  }
}

/** The same of the secrets that a homeserver's part has. */
function domainSecretBreaches({ datastores, accessTokens }: ParsedDomain): Remark[] {
  const stores = datastores.flatMap((store, index) => {
    if (store.type !== "s3" || !store.enabled) return [];
    return (["accessKeyId", "accessSecret"] as const).flatMap((key) =>
      sampleBreach(["datastores", index, "opts", key], store.opts[key], GIVEN),
    );
  });
  const services = accessTokens.appservices.flatMap(({ asToken }, index) => {
    const message = "must be the as_token of its registration, not a sample's";
    return sampleBreach(["accessTokens", "appservices", index, "asToken"], asToken, message);
  });
  return [...stores, ...(accessTokens.useLocalAppserviceConfig ? services : [])];
}

function tokenBreaches({ sharedSecretAuth: { enabled, token } }: MainConfig): Remark[] {
  if (!enabled || token === "" || isToken(token)) return [];
  return [{ path: ["sharedSecretAuth", "token"], message: TOKEN_FORM }];
}

function redisBreaches({ redis }: MainConfig): Remark[] {
  if (!redis.enabled) return [];
  if (redis.shards.length === 0) return [{ path: ["redis", "shards"], message: "must list at least one server" }];
  return repeats(redis.shards.map((shard) => shard.name)).map((index) => ({
    path: ["redis", "shards", index, "name"],
    message: "is the name of another shard too",
  }));
}

function repeatedNames({ homeservers }: MainConfig): Remark[] {
  return repeats(homeservers.map((one) => one.name)).map((index) => ({
    path: ["homeservers", index, "name"],
    message: "stands for a homeserver that is listed already",
  }));
}

/**
 * Server names that another one differs from in the case of letters alone. As identifiers they are two, but a request names its
 * homeserver by a host, and a host has no case: nobody could tell which of them is asked.
 */
export function twinNames(names: readonly string[]): DomainRemark[] {
  const first = new Map<string, string>();
  return names.flatMap((name) => {
    const twin = first.get(name.toLowerCase());
    if (twin === undefined) first.set(name.toLowerCase(), name);
    if (twin === undefined || twin === name) return [];
    const message = `differs from "${twin}" in the case of letters alone: no host could tell the two apart; keep the one that stands in the ids of its users`;
    return [{ domain: name, remark: { path: ["name"], message } }];
  });
}

function datastoreBreaches(stores: Stores): Remark[] {
  if (stores.length === 0) {
    return [{ path: ["datastores"], message: "must list at least one place for media, of type file or s3" }];
  }
  return repeats(stores.map((store) => store.id)).map((index) => ({
    path: ["datastores", index, "id"],
    message: "is the id of another datastore too; every datastore needs its own",
  }));
}

/** Something to be said of a homeserver's part of the configuration. */
interface DomainRemark {
  readonly domain: string;
  readonly remark: Remark;
}

/**
 * Datastores of a domain that bear the id of a different place somewhere else: the database knows where a body is by the id
 * alone.
 */
export function clashingStores(main: MainConfig, domains: readonly ParsedDomain[]): DomainRemark[] {
  const places = new Map<string, string>();
  const clashes = (store: Stores[number]): boolean => {
    const place = placeOf(store);
    if (place === undefined) return false;
    const known = places.get(idOf(store)) ?? place;
    places.set(idOf(store), known);
    return known !== place;
  };
  for (const store of main.datastores) clashes(store);
  return remarksOn(domains, (store) =>
    clashes(store)
      ? { key: "id", message: "is the id of a different datastore elsewhere; every datastore needs its own" }
      : undefined,
  );
}

function idOf(store: Stores[number]): string {
  return store.id || derivedId(store);
}

function remarksOn(
  domains: readonly ParsedDomain[],
  find: (store: Stores[number]) => { key: string; message: string } | undefined,
): DomainRemark[] {
  return domains.flatMap(({ name, datastores }) =>
    datastores.flatMap((store, index) => {
      const found = find(store);
      if (!found) return [];
      return [{ domain: name, remark: { path: ["datastores", index, found.key], message: found.message } }];
    }),
  );
}

/** The positions of texts that stood there before; empty ones do not count. */
function repeats(texts: readonly string[]): number[] {
  return texts.flatMap((text, index) => (text !== "" && texts.indexOf(text) < index ? [index] : []));
}

/** Throws the problems, if there are any, without saying one twice. */
export function throwProblems(problems: readonly ConfigProblem[]): void {
  const different = new Map(problems.map((one) => [JSON.stringify(one), one]));
  if (different.size > 0) throw new ConfigError([...different.values()]);
}
