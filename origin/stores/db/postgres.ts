import pg from "pg";
import { type Database, PgDatabase } from "./database.ts";
import { PostgresListener } from "./postgres_listener.ts";
import { demandFitServer } from "./server_fitness.ts";
import { TYPES } from "./types.ts";

/** Where the server is, as `postgres://user:password@host:port/database?sslmode=…`, and how many connections to it may be open. */
export interface PostgresOptions {
  readonly url: string;
  readonly maxConnections: number;
}

const CONNECT_MS = 10_000;
const STATEMENT_MS = 30_000;
const LOCK_MS = 10_000;
const IDLE_IN_TRANSACTION_MS = 60_000;
/** Our own limit, for a server that does not answer at all; the server's own comes first. */
const SILENCE_MS = STATEMENT_MS + 10_000;
const WAITING_PER_CONNECTION = 100;

/**
 * Opens a Postgres server. A statement is given 30 s, a lock 10 s, a free connection 10 s.
 *
 * Errors: what the server or the connection to it says; {@link UnfitServerError}.
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const connection = {
    connectionString: await withSettledTls(withLibpqMeaning(options.url)),
    application_name: "mxcdn",
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    types: TYPES,
  };
  const pool = new pg.Pool({
    ...connection,
    max: options.maxConnections,
    statement_timeout: STATEMENT_MS,
    query_timeout: SILENCE_MS,
    lock_timeout: LOCK_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  });
  const listener = new PostgresListener(() => new pg.Client(connection));
  const database = new PgDatabase(pool, {
    listen: (channel, one) => listener.listen(channel, one),
    close: () => listener.close(),
    maxWaiting: options.maxConnections * WAITING_PER_CONNECTION,
    replaceable: true,
  });
  try {
    // What the pool throws itself, not what clients are told of it.
    (await pool.connect()).release();
    await demandFitServer(database);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * `sslmode` as Postgres documents it, and as MMR's driver reads it (`require` encrypts without asking for a certificate
 * that can be verified); node-postgres would take every mode but `disable` for `verify-full`.
 */
function withLibpqMeaning(url: string): string {
  if (!/[?&]sslmode=/.test(url) || /[?&]uselibpqcompat=/.test(url)) return url;
  return `${url}&uselibpqcompat=true`;
}

/**
 * `sslmode=prefer` is TLS where the server speaks it, and none where it does not: `pg` knows the first half only. It is asked
 * once; what goes wrong otherwise shows when the pool connects.
 */
async function withSettledTls(url: string): Promise<string> {
  if (!/[?&]sslmode=prefer\b/.test(url)) return url;
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return url;
  } catch (error) {
    return /does not support SSL/.test((error as Error).message)
      ? url.replace("sslmode=prefer", "sslmode=disable")
      : url;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Where a server is, for messages: its host or socket, and the database. No user and no password. */
export function placeOfPostgres(url: string): string {
  try {
    const { host, pathname, searchParams } = new URL(url);
    return `${searchParams.get("host") ?? host}${pathname}`;
  } catch {
    return "the configured address";
  }
}
