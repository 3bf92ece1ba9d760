import pg from "pg";
import { type Database, PgDatabase } from "./database.ts";
import { PostgresListener } from "./postgres_listener.ts";
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
 * Errors: an Error that says which server cannot be reached and why (never the password).
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const connection = {
    connectionString: withLibpqMeaning(options.url),
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
    listen: (channel, hearer) => listener.listen(channel, hearer),
    close: () => listener.close(),
    maxWaiting: options.maxConnections * WAITING_PER_CONNECTION,
    replaceable: true,
  });
  try {
    (await pool.connect()).release();
  } catch (error) {
    await database.close();
    const why = (error as Error).message;
    throw new Error(`Cannot open the database at ${placeOf(options.url)} (\`database.postgres\`): ${why}`, {
      cause: error,
    });
  }
  return database;
}

/**
 * `sslmode` as Postgres documents it, and as MMR's driver reads it (`require` encrypts without asking for a certificate
 * that can be verified); node-postgres would take every mode but `disable` for `verify-full`.
 */
function withLibpqMeaning(url: string): string {
  if (!/[?&]sslmode=/.test(url) || /[?&]uselibpqcompat=/.test(url)) return url;
  return `${url}&uselibpqcompat=true`;
}

function placeOf(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `${host}${pathname}`;
  } catch {
    return "the configured address";
  }
}
