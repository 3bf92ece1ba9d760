import type { Config } from "./config/schema.ts";
import { needing } from "./platform/lifetime.ts";
import type { Log } from "./platform/log.ts";
import { type EdgeBucket, makeEdgeBucket } from "./stores/bucket/edge_bucket.ts";
import type { Database } from "./stores/db/database.ts";
import { migrate } from "./stores/db/migrate.ts";
import { openPglite } from "./stores/db/pglite.ts";
import { openPostgres, placeOfPostgres } from "./stores/db/postgres.ts";

/** The part of `app.ts` that opens what keeps the data. */

const MIGRATIONS = new URL("../migrations/", import.meta.url);

/** Opens the database of the configuration and brings its schema up to date. */
export async function openDatabase(config: Config, log: Log): Promise<Database> {
  const { postgres, folder, pool } = config.database;
  if (postgres === "") return await needing("embedded_database", folder, () => upToDate(openPglite(folder), log));
  return await needing("postgres", placeOfPostgres(postgres), () =>
    upToDate(openPostgres({ url: postgres, maxConnections: pool.maxConnections }), log),
  );
}

async function upToDate(opening: Promise<Database>, log: Log): Promise<Database> {
  const db = await opening;
  try {
    const applied = await migrate(db, MIGRATIONS);
    if (applied.length > 0) log.info({ applied }, "brought the database up to date");
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** The edge bucket of the configuration; `undefined` where there is no edge. */
export function openEdgeBucket({ edge }: Config): EdgeBucket | undefined {
  return edge.enabled ? makeEdgeBucket(edge.bucket) : undefined;
}
