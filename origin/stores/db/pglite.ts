import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createPgConfig } from "@electric-sql/pglite/node-postgres";
import pg from "pg";
import { type FolderLock, FolderTakenError, lockFolder } from "../../platform/lifetime.ts";
import { type Database, PgDatabase } from "./database.ts";
import { explainPglite } from "./pglite_trouble.ts";
import { quoted } from "./postgres_listener.ts";
import { TYPES } from "./types.ts";

const MAX_WAITING = 1_000;
const WAIT_MS = 30_000;

/**
 * Opens the embedded Postgres (PGlite) in a folder, made when it is not there. For trying, developing and one small server:
 * it survives `kill -9` but not a power cut, and one process at a time can use the folder.
 *
 * Errors: an Error that names the folder when another process holds it; the system's where it cannot be written, has no room or
 * may hold no file so large; `DamagedDatabaseError`.
 */
export async function openPglite(folder: string): Promise<Database> {
  await mkdir(folder, { recursive: true });
  const lock = await lockDatabase(folder);
  try {
    const lite = await openFiles(folder).catch(async (error: unknown) => {
      throw await explainPglite(folder, error);
    });
    const config = createPgConfig(lite);
    // More than one connection would mix up the protocol messages of both.
    const pool = new pg.Pool({ ...config, max: 1, connectionTimeoutMillis: WAIT_MS, types: TYPES });
    const database: Database = new PgDatabase(pool, {
      // Within one process nothing that is sent is ever missed.
      listen: async (channel, listener) => {
        const stop = lite.onNotification((sentOn, payload) => {
          if (sentOn === channel) listener.onPayload(payload);
        });
        // The only session hears for all; it goes on hearing what nobody wants any more.
        await database.query(`LISTEN ${quoted(channel)}`);
        return async () => stop();
      },
      close: async () => {
        await lite.close();
        lock.release();
      },
      maxWaiting: MAX_WAITING,
      beforeQuery: yieldToTimers,
      replaceable: false,
      onPanic: (error) => setImmediate(end, folder, error),
    });
    return database;
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function lockDatabase(folder: string): Promise<FolderLock> {
  try {
    return lockFolder(folder);
  } catch (error) {
    if (!(error instanceof FolderTakenError)) throw await explainPglite(folder, error);
    throw new Error(`Cannot open the database in ${folder}: ${(error as Error).message}`, { cause: error });
  }
}

/** A new database is made aside and then renamed, so that a kill meanwhile leaves nothing that looks like one. */
async function openFiles(folder: string): Promise<PGlite> {
  const dataDir = join(folder, "pgdata");
  const making = join(folder, "pgdata.new");
  await rm(making, { recursive: true, force: true });
  if (!existsSync(dataDir)) {
    await (await PGlite.create({ dataDir: making })).close();
    await rename(making, dataDir);
  }
  // Without it PGlite would make a new database over what there is of the old one.
  if (!existsSync(join(dataDir, "PG_VERSION"))) throw new Error("PG_VERSION is missing");
  return await PGlite.create({ dataDir });
}

/**
 * After a panic (there was no room for its log, say) nothing that it is asked is ever answered, while it recovers as it should
 * when it is opened again: better an end that is noticed than a process that hangs.
 */
function end(folder: string, cause: unknown): never {
  const why = (cause as Error).message;
  throw new Error(`The embedded database in ${folder} has given up (${why}): it recovers at the next start`, { cause });
}

/** PGlite answers in microtasks only: without this, a busy database would let no timer and no socket have its turn. */
function yieldToTimers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
