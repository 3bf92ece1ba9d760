import { derivedId } from "./assemble.ts";
import { ConfigError, type ConfigProblem } from "./config_error.ts";
import type { Remark } from "./layers.ts";
import { placeOf } from "./place.ts";
import type { MainConfig, ParsedDomain } from "./schema.ts";
import { MIN_SECRET_LENGTH } from "./sections/edge.ts";

type Stores = readonly ParsedDomain["datastores"][number][];

/** What is wrong with the main files although each key for itself is right. */
export function mainBreaches(main: MainConfig): Remark[] {
  return [...edgeBreaches(main.edge), ...secretBreaches(main), ...redisBreaches(main), ...repeatedNames(main)];
}

/** The same for what holds for one domain. */
export function domainBreaches(domain: ParsedDomain): Remark[] {
  return datastoreBreaches(domain.datastores);
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

function secretBreaches({ sharedSecretAuth: { enabled, token } }: MainConfig): Remark[] {
  if (!enabled || (token !== "" && token !== "ReplaceMe")) return [];
  return [{ path: ["sharedSecretAuth", "token"], message: "must be a secret of your own while it is enabled" }];
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

function datastoreBreaches(stores: Stores): Remark[] {
  if (stores.length === 0) {
    return [{ path: ["datastores"], message: "must list at least one place for media, of type file or s3" }];
  }
  const ids = repeats(stores.map((store) => store.id)).map((index) => ({
    path: ["datastores", index, "id"],
    message: "is the id of another datastore too; every datastore needs its own",
  }));
  const places = repeats(stores.map((store) => placeOf(store) ?? "")).map((index) => ({
    path: ["datastores", index, "opts"],
    message: "is the place of another datastore too; list a place once, with all of its forKinds",
  }));
  return [...ids, ...places];
}

/**
 * Datastores of a domain that bear the id of a different place somewhere else, or another id for the same place: the database
 * knows where a body is by the id alone.
 */
export function clashingStores(
  main: MainConfig,
  domains: readonly ParsedDomain[],
): { readonly domain: string; readonly remark: Remark }[] {
  const places = new Map<string, string>();
  const ids = new Map<string, string>();
  const clash = (store: Stores[number]): { key: string; message: string } | undefined => {
    const place = placeOf(store);
    if (place === undefined) return undefined;
    const id = store.id || derivedId(store);
    const [knownPlace, knownId] = [places.get(id) ?? place, ids.get(place) ?? id];
    places.set(id, knownPlace);
    ids.set(place, knownId);
    if (knownPlace !== place)
      return { key: "id", message: "is the id of a different datastore elsewhere; every datastore needs its own" };
    if (knownId === id) return undefined;
    return { key: "opts", message: `is the place of the datastore "${knownId}"; a place has one id everywhere` };
  };
  for (const store of main.datastores) clash(store);
  return domains.flatMap(({ name, datastores }) =>
    datastores.flatMap((store, index) => {
      const found = clash(store);
      return found
        ? [{ domain: name, remark: { path: ["datastores", index, found.key], message: found.message } }]
        : [];
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
