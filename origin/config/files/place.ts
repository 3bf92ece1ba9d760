import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Config, DatastoreConfig, ParsedDomain } from "../schema.ts";

type Store = ParsedDomain["datastores"][number] | DatastoreConfig;
type S3Options = Extract<DatastoreConfig, { type: "s3" }>["opts"];

/** Amazon's bucket names are unique among all regions of these. */
const AMAZON = /(?:^|\.)(amazonaws\.com(?:\.cn)?)$/;

/**
 * Where a datastore lies, so that two ways to say the same place are seen to mean one: a folder by its real path, a bucket
 * without what does not tell one from another. `undefined` where nothing is stored.
 */
export function placeOf(store: Store): string | undefined {
  if (store.type === "ipfs") return undefined;
  return store.type === "file" ? realPath(resolve(store.opts.path)) : bucketOf(store.opts);
}

/** Of a folder that is not there yet, that of the folder which it would be in. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return dirname(path) === path ? path : join(realPath(dirname(path)), basename(path));
  }
}

function bucketOf({ endpoint, ssl, bucketName }: S3Options): string {
  const text = endpoint.includes("://") ? endpoint : `${ssl ? "https" : "http"}://${endpoint}`;
  if (!URL.canParse(text)) return `${endpoint} ${bucketName}`;
  const { host, pathname } = new URL(text);
  return `${AMAZON.exec(host)?.[1] ?? host}${pathname.replace(/\/+$/, "")} ${bucketName}`;
}

/** Every datastore that the configuration names, for whatever homeserver, once, with its place. */
export function datastoresOf(config: Config): (DatastoreConfig & { readonly place: string })[] {
  const all = [config.datastores, ...[...config.domains.values()].map((domain) => domain.datastores)].flat();
  const byId = new Map(all.map((store) => [store.id, store]));
  return [...byId.values()].map((store) => ({ ...store, place: placeOf(store) ?? store.id }));
}
