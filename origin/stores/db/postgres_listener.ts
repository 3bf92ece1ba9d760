import type pg from "pg";

type OnPayload = (payload: string) => void;

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;

/**
 * Hears notifications on one connection of its own, however many channels are asked for, and connects again when it breaks.
 * What is sent meanwhile is lost.
 */
export class PostgresListener {
  readonly #connect: () => pg.Client;
  readonly #channels = new Map<string, Set<OnPayload>>();
  #client: Promise<pg.Client> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  /** `connect` makes a client that is not connected yet. */
  constructor(connect: () => pg.Client) {
    this.#connect = connect;
  }

  /** Hears `channel` until the returned function is called. Throws when there is no connection to begin with. */
  async listen(channel: string, onPayload: OnPayload): Promise<() => Promise<void>> {
    const hearers = this.#channels.get(channel) ?? new Set<OnPayload>();
    this.#channels.set(channel, hearers.add(onPayload));
    try {
      await this.#send(`LISTEN ${quoted(channel)}`);
    } catch (error) {
      this.#forget(channel, onPayload);
      throw error;
    }
    return async () => {
      if (!this.#forget(channel, onPayload) || this.#client === undefined) return;
      await this.#send(`UNLISTEN ${quoted(channel)}`).catch(() => undefined);
    };
  }

  /** Hears nothing any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#channels.clear();
    const client = await this.#client?.catch(() => undefined);
    await client?.end();
  }

  /** Whether nobody hears the channel any more. */
  #forget(channel: string, onPayload: OnPayload): boolean {
    const hearers = this.#channels.get(channel);
    hearers?.delete(onPayload);
    return hearers?.size === 0 && this.#channels.delete(channel);
  }

  /** One statement after the other: the client takes no second one while it is busy. */
  #send(statement: string): Promise<unknown> {
    const sent = this.#turn.then(async () => (await this.#connection()).query(statement));
    this.#turn = sent.catch(() => undefined);
    return sent;
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
      for (const onPayload of this.#channels.get(channel) ?? []) onPayload(payload ?? "");
    });
    client.on("error", () => undefined);
    client.once("end", () => this.#reopen(FIRST_RETRY_MS));
    await client.connect();
    for (const channel of this.#channels.keys()) await client.query(`LISTEN ${quoted(channel)}`);
    return client;
  }

  #reopen(waitMs: number): void {
    this.#client = undefined;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (this.#closed || this.#channels.size === 0) return;
      this.#turn = this.#connection().catch(() => this.#reopen(Math.min(waitMs * 2, LONGEST_RETRY_MS)));
    }, waitMs);
    this.#retry.unref();
  }
}

/** A channel name as Postgres takes it literally: unquoted it would be folded to lower case. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
