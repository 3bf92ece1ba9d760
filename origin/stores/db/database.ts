import { AsyncLocalStorage } from "node:async_hooks";
import type { Pool, PoolClient, QueryConfig, QueryResult } from "pg";
import { Failure } from "../../../shared/matrix/failure.ts";
import { tellTrouble, troubleOf } from "../trouble.ts";
import { sqlState } from "./sql_state.ts";

/** Runs one statement: the database itself, or a transaction of it. Functions of this folder take either, first. */
export interface Queryable {
  /**
   * Runs one statement with its parameters ($1, $2 …). 8-byte integers come back as JS numbers, jsonb parsed. Without
   * parameters several statements may be given; the result is then that of the last.
   *
   * Errors: the driver's, with the five-character `code` that the server sent. Where the database is in trouble (`trouble.ts`:
   * the connection is lost, too many wait for one, it is read-only, a lock or the statement takes too long, its disk is full …)
   * a failure: unavailable, busy, or no room. That is so outside of a transaction, and of the transaction as a whole.
   */
  query<R = Record<string, unknown>>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<{ rows: R[]; rowCount: number }>;
}

/** What the text of a channel is handed to: see `Bus`, which reads it. What either function throws is lost. */
export interface PayloadListener {
  onPayload(payload: string): void;
  /** The connection was lost and is back: what was sent meanwhile is lost. */
  onReconnect(): void;
}

/** A Postgres: a server, or PGlite in a folder. */
export interface Database extends Queryable {
  /**
   * Runs `fn` in one transaction: committed when it resolves, rolled back when it throws. `fn` does nothing but query `tx`,
   * one statement after the other (no I/O: a connection, with PGlite the only one, is held), and may run again when the
   * database had to choose it as the victim of a deadlock. Using the database itself inside is an error, not a wait
   * without end.
   */
  transaction<T>(fn: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Runs a script of several statements in one transaction, with no limit of time. For migrations and maintenance. */
  exec(script: string): Promise<void>;
  /** Listens to what is sent by `NOTIFY` on a channel, until the returned function is called. */
  listen(channel: string, listener: PayloadListener): Promise<() => Promise<void>>;
  /** Waits for what is under way, then closes every connection. */
  close(): Promise<void>;
}

/** What the two kinds of database do differently. */
export interface PgDatabaseOptions {
  readonly listen: Database["listen"];
  /** Called after the pool is closed. */
  readonly close: () => Promise<void>;
  /** How many may wait for a connection; the next is refused with 503. */
  readonly maxWaiting: number;
  /** Awaited before each statement. */
  readonly beforeQuery?: () => Promise<void>;
  /** The server has given up on itself, and does not come back by itself; a Postgres does. */
  readonly onPanic?: (error: unknown) => void;
  /** Whether a connection that failed in an unknown way can be thrown away for a new one. */
  readonly replaceable: boolean;
}

/** Serialization failure and deadlock: the transaction was undone and may be tried again (PostgreSQL, appendix A). */
const RETRYABLE = new Set(["40001", "40P01"]);
/** Connection exceptions, shutdown and its kin, time-outs of the session. */
const ENDS_CONNECTION = /^(08...|57P0.|25P0[34])$/;
const ATTEMPTS = 4;
const RETRY_AFTER_MS = 1_000;
/** The longest a timer of Node can be set for: about 25 days. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** {@link Database} over a pool of node-postgres. Owns the pool. */
export class PgDatabase implements Database {
  readonly #pool: Pool;
  readonly #options: PgDatabaseOptions;
  readonly #inside = new AsyncLocalStorage<{ open: boolean }>();
  readonly #broken = new WeakSet<PoolClient>();

  constructor(pool: Pool, options: PgDatabaseOptions) {
    this.#pool = pool;
    this.#options = options;
    // A connection that breaks while idle is replaced by the pool, one in use fails its query: nothing more is to be done,
    // but without a listener the event would end the process.
    pool.on("error", ignore);
    pool.on("connect", (client) => client.on("error", ignore));
  }

  async query<R>(sql: string, params?: readonly unknown[]): Promise<{ rows: R[]; rowCount: number }> {
    return await this.#retried(() => this.#withClient((client) => this.#run<R>(client, sql, params)));
  }

  async transaction<T>(fn: (tx: Queryable) => Promise<T>): Promise<T> {
    return await this.#retried(() => this.#withClient((client) => this.#attempt(client, fn)));
  }

  async exec(script: string): Promise<void> {
    await this.#retried(() =>
      this.#withClient((client) =>
        this.#attempt(client, async (tx) => {
          await tx.query("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0");
          await this.#send(client, { text: script, query_timeout: NO_LIMIT_MS });
        }),
      ),
    );
  }

  async listen(channel: string, listener: PayloadListener): Promise<() => Promise<void>> {
    // Called from the driver, where whatever is thrown would end the process.
    return await this.#options.listen(channel, {
      onPayload: guarded((payload) => listener.onPayload(payload)),
      onReconnect: guarded(() => listener.onReconnect()),
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
    await this.#options.close();
  }

  /** Does what is undone as a whole when it fails: again where the server has chosen it as a victim. */
  async #retried<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        const state = sqlState(error);
        if (attempt < ATTEMPTS && RETRYABLE.has(state ?? "")) continue;
        const trouble = state === undefined ? undefined : troubleOf(error);
        throw trouble ? tellTrouble(trouble, error) : error;
      }
    }
  }

  async #withClient<T>(use: (client: PoolClient) => Promise<T>): Promise<T> {
    if (this.#inside.getStore()?.open) {
      throw new Error("Cannot use the database inside its own transaction: query the transaction that was handed in");
    }
    if (this.#pool.waitingCount >= this.#options.maxWaiting) throw unavailable();
    const client = await this.#pool.connect().catch((error) => {
      throw unavailable(error);
    });
    try {
      return await use(client);
    } finally {
      client.release(this.#broken.has(client));
    }
  }

  async #attempt<T>(client: PoolClient, fn: (tx: Queryable) => Promise<T>): Promise<T> {
    const scope = { open: true };
    const query: Queryable["query"] = async (sql, params) => {
      if (!scope.open) throw new Error("Cannot query a transaction that has ended");
      return await this.#run(client, sql, params);
    };
    try {
      await this.#run(client, "BEGIN");
      const value = await this.#inside.run(scope, () => fn({ query }));
      scope.open = false;
      await this.#commit(client);
      return value;
    } catch (error) {
      scope.open = false;
      if (!this.#broken.has(client)) await this.#run(client, "ROLLBACK").catch(ignore);
      throw error;
    }
  }

  /** Postgres answers the COMMIT of a transaction in which a statement had failed with ROLLBACK, not with an error. */
  async #commit(client: PoolClient): Promise<void> {
    const { command } = await this.#send(client, { text: "COMMIT" });
    if (command !== "COMMIT") throw new Error("Cannot commit a transaction in which a statement failed");
  }

  async #run<R>(client: PoolClient, text: string, params?: readonly unknown[]) {
    const { rows, rowCount } = await this.#send(client, params ? { text, values: [...params] } : { text });
    return { rows: rows as R[], rowCount: rowCount ?? 0 };
  }

  async #send(client: PoolClient, statement: QueryConfig & { query_timeout?: number }): Promise<QueryResult> {
    await this.#options.beforeQuery?.();
    try {
      const result: QueryResult | QueryResult[] = await client.query(statement);
      return Array.isArray(result) ? (result.at(-1) as QueryResult) : result;
    } catch (error) {
      if ((error as { severity?: unknown }).severity === "PANIC") this.#options.onPanic?.(error);
      // A primary that was demoted keeps its connections: behind the same name there may be another by now.
      if (this.#options.replaceable && troubleOf(error) === "read_only") this.#broken.add(client);
      if (!endsConnection(error)) throw error;
      if (this.#options.replaceable) this.#broken.add(client);
      throw unavailable(error);
    }
  }
}

/** Whether the connection cannot be used any more: the server said so, or said nothing. */
function endsConnection(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined ? !(error instanceof RangeError) : ENDS_CONNECTION.test(state);
}

function unavailable(cause?: unknown): Failure {
  return new Failure("unavailable", "The database is not available at the moment", {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}

function guarded<A extends unknown[]>(tell: (...news: A) => void): (...news: A) => void {
  return (...news) => {
    try {
      tell(...news);
    } catch {
      // `Bus` logs what its listeners throw.
    }
  };
}

function ignore(): void {}
