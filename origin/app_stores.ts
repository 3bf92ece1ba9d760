import type { Config, DatastoreConfig } from "./config/schema.ts";
import type { Log } from "./platform/log.ts";
import type { Datastore } from "./stores/datastores/datastore.ts";
import { makeFileDatastore } from "./stores/datastores/file.ts";
import { makeS3Datastore } from "./stores/datastores/s3.ts";
import type { Database } from "./stores/db/database.ts";
import { migrate } from "./stores/db/migrate.ts";
import { openPglite } from "./stores/db/pglite.ts";
import { openPostgres } from "./stores/db/postgres.ts";
import { type EdgeBucket, makeEdgeBucket } from "./stores/edge/edge_bucket.ts";

/** The part of `app.ts` that opens what keeps the data. */

const MIGRATIONS = new URL("../migrations/", import.meta.url);

/** Opens the database of the configuration and brings its schema up to date. */
export async function openDatabase(config: Config, log: Log): Promise<Database> {
  const { postgres, folder, pool } = config.database;
  const db = await (postgres
    ? openPostgres({ url: postgres, maxConnections: pool.maxConnections })
    : openPglite(folder));
  try {
    const applied = await migrate(db, MIGRATIONS);
    if (applied.length > 0) log.info({ applied }, "brought the database up to date");
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Opens every datastore of the configuration once, under its id. */
export function openDatastores(config: Config): Map<string, Datastore> {
  const opened = new Map<string, Datastore>();
  addDatastores(opened, config);
  return opened;
}

/** Opens the datastores of the configuration that are not open yet. Others stay: what lies in them is still to be read. */
export function addDatastores(opened: Map<string, Datastore>, config: Config): void {
  const all = [config.datastores, ...[...config.domains.values()].map((domain) => domain.datastores)].flat();
  for (const store of all) if (!opened.has(store.id)) opened.set(store.id, openDatastore(store));
}

/** The edge bucket of the configuration; `undefined` where there is no edge. */
export function openEdgeBucket({ edge }: Config): EdgeBucket | undefined {
  return edge.enabled ? makeEdgeBucket(edge.bucket) : undefined;
}

function openDatastore(store: DatastoreConfig): Datastore {
  return store.type === "file"
    ? makeFileDatastore({ id: store.id, folder: store.opts.path })
    : makeS3Datastore({ id: store.id, ...store.opts });
}
