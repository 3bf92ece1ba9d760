import { needing } from "../../platform/lifetime.ts";
import type { Log } from "../../platform/log.ts";
import type { Database } from "./database.ts";
import { migrate } from "./migrate.ts";
import { openPglite } from "./pglite.ts";
import { openPostgres, placeOfPostgres } from "./postgres.ts";

/** Which database: a Postgres server where `postgres` is its URL, else the embedded one in a folder. */
export interface DatabaseSettings {
  readonly postgres: string;
  readonly folder: string;
  readonly pool: { readonly maxConnections: number };
}

const MIGRATIONS = new URL("../../../migrations/", import.meta.url);

/**
 * Opens the database and brings its schema up to date.
 *
 * Errors: a StartTrouble with what keeps it from being used.
 */
export async function openDatabase({ postgres, folder, pool }: DatabaseSettings, log: Log): Promise<Database> {
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
