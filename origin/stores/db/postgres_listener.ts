import type pg from "pg";
import { sleep } from "../../platform/time.ts";
import type { PayloadListener } from "./database.ts";
import { sqlState } from "./sql_state.ts";

/** How a {@link PostgresListener} finds out that its connection is gone, in milliseconds. */
export interface ListenerTimeouts {
  /** How often it asks whether anybody is still there: a connection that was cut off in silence looks like one without news. */
  readonly heartbeatMs: number;
  /** How long the server may let it wait for an answer. */
  readonly silenceMs: number;
}

const TIMEOUTS: ListenerTimeouts = { heartbeatMs: 30_000, silenceMs: 10_000 };
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
const FAREWELL_MS = 1_000;

/**
 * Hears notifications on one connection of its own, however many channels are asked for, and connects again when it breaks.
 * What is sent meanwhile is lost; once everything is heard again, all who hear are told so.
 */
export class PostgresListener {
  readonly #connect: () => pg.Client;
  readonly #timeouts: ListenerTimeouts;
  readonly #channels = new Map<string, Set<PayloadListener>>();
  #client: Promise<pg.Client> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  /** Since a connection was lost, and until everything is heard again. */
  #wasLost = false;
  #closed = false;

  /** `connect` makes a client that is not connected yet. */
  constructor(connect: () => pg.Client, timeouts: ListenerTimeouts = TIMEOUTS) {
    this.#connect = connect;
    this.#timeouts = timeouts;
  }

  /** Hears `channel` until the returned function is called. Throws when there is no connection to begin with. */
  async listen(channel: string, listener: PayloadListener): Promise<() => Promise<void>> {
    const listeners = this.#channels.get(channel) ?? new Set<PayloadListener>();
    this.#channels.set(channel, listeners.add(listener));
    try {
      await this.#send(`LISTEN ${quoted(channel)}`);
    } catch (error) {
      this.#forget(channel, listener);
      throw error;
    }
    return async () => {
      if (!this.#forget(channel, listener) || this.#client === undefined) return;
      await this.#send(`UNLISTEN ${quoted(channel)}`).catch(ignore);
    };
  }

  /** Hears nothing any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#heartbeat);
    this.#channels.clear();
    const client = await this.#client?.catch(ignore);
    // A server that is cut off would never say goodbye.
    if (client) await Promise.race([client.end(), sleep(FAREWELL_MS)]);
  }

  /** Whether nobody hears the channel any more. */
  #forget(channel: string, listener: PayloadListener): boolean {
    const listeners = this.#channels.get(channel);
    listeners?.delete(listener);
    return listeners?.size === 0 && this.#channels.delete(channel);
  }

  /** One statement after the other: the client takes no second one while it is busy. */
  #send(statement: string): Promise<unknown> {
    const sent = this.#turn.then(async () => this.#ask(await this.#connection(), statement));
    this.#turn = sent.catch(ignore);
    return sent;
  }

  /** A connection that does not answer in time is given up. */
  async #ask(client: pg.Client, statement: string): Promise<void> {
    const bounded = { text: statement, query_timeout: this.#timeouts.silenceMs };
    try {
      await client.query(bounded);
    } catch (error) {
      if (sqlState(error) === undefined) void client.end();
      throw error;
    }
  }

  #connection(): Promise<pg.Client> {
    this.#client ??= this.#open().catch((error) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #open(): Promise<pg.Client> {
    const client = this.#connect();
    client.on("notification", ({ channel, payload }) => {
      // Until everything is heard again, what comes is part of what may have been missed.
      if (this.#wasLost) return;
      for (const listener of this.#channels.get(channel) ?? []) listener.onPayload(payload ?? "");
    });
    client.on("error", ignore);
    try {
      await client.connect();
      for (const channel of this.#channels.keys()) await this.#ask(client, `LISTEN ${quoted(channel)}`);
    } catch (error) {
      void client.end();
      throw error;
    }
    client.once("end", () => this.#lose());
    this.#beat();
    if (this.#wasLost) this.#announceReconnect();
    return client;
  }

  #beat(): void {
    clearTimeout(this.#heartbeat);
    if (this.#closed) return;
    this.#heartbeat = setTimeout(async () => {
      await this.#send("SELECT 1").catch(ignore);
      this.#beat();
    }, this.#timeouts.heartbeatMs).unref();
  }

  #lose(): void {
    this.#client = undefined;
    this.#wasLost = true;
    clearTimeout(this.#heartbeat);
    this.#reopen(FIRST_RETRY_MS);
  }

  #reopen(waitMs: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (this.#closed || this.#channels.size === 0) return;
      this.#connection().catch(() => this.#reopen(Math.min(waitMs * 2, LONGEST_RETRY_MS)));
    }, waitMs).unref();
  }

  #announceReconnect(): void {
    this.#wasLost = false;
    for (const listeners of this.#channels.values()) for (const listener of listeners) listener.onReconnect();
  }
}

/** A channel name as Postgres takes it literally: unquoted it would be folded to lower case. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function ignore(): void {}
