import { Redis, type RedisOptions } from "ioredis";
import { Circuit, CircuitOpenError } from "../../platform/circuit.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { sleep } from "../../platform/time.ts";
import { makeRing } from "./shard_ring.ts";

/** A Redis server: the name by which keys find it, and `host:port` or a URL (`redis://user:password@host:port/db`, `rediss:` with TLS). */
export interface RedisAddress {
  readonly name: string;
  readonly addr: string;
}

/** How long Redis is waited for, in milliseconds: to connect, and to answer. */
export interface RedisPatience {
  readonly connectMs: number;
  readonly commandMs: number;
}

/** How to reach Redis. `databaseNumber` holds where an address names none. */
export interface RedisSettings {
  readonly shards: readonly RedisAddress[];
  readonly databaseNumber: number;
  /** Without it {@link PATIENCE}. */
  readonly patience?: RedisPatience | undefined;
  readonly clock: SteadyClock;
  readonly log: Log;
}

/** Several Redis servers that each hold a part of the keys. */
export interface SharedRedis {
  /**
   * Asks the server that this key belongs to. `undefined` when it cannot be asked or does not answer in time, a
   * fraction of a second; after that it is left alone for a moment, so that an outage costs next to nothing. Never throws.
   */
  ask<T>(key: string, question: (client: Redis) => Promise<T>): Promise<T | undefined>;
  close(): Promise<void>;
}

/** Short enough that who asks hardly notices an outage. */
const PATIENCE: RedisPatience = { connectMs: 500, commandMs: 300 };
const SILENCE_MS = 5_000;
const REST_MS = 1_000;
const MAX_RECONNECT_MS = 2_000;
const DEFAULT_PORT = 6379;

/**
 * Connects to every server, waiting for it as long as its patience lasts: one that is away is tried again in the background for as
 * long as it takes. Throws on an address that is none.
 */
export async function openRedis(settings: RedisSettings): Promise<SharedRedis> {
  const shards = settings.shards.map((address) => new Shard(address, settings));
  const pick = makeRing(shards);
  const { connectMs } = settings.patience ?? PATIENCE;
  const waited = new AbortController();
  await Promise.race([Promise.all(shards.map((shard) => shard.ready)), sleep(connectMs, waited.signal)]);
  waited.abort();
  return {
    ask: (key, question) => pick(key).ask(question),
    close: async () => void (await Promise.all(shards.map((shard) => shard.close()))),
  };
}

class Shard {
  readonly name: string;
  /** Settles when the first connection stands. */
  readonly ready: Promise<void>;
  readonly #client: Redis;
  /** While it does not answer, one question in a while is enough to find out. */
  readonly #circuit: Circuit;
  readonly #log: Log;
  #away = false;
  #closing = false;

  constructor(address: RedisAddress, { databaseNumber, patience = PATIENCE, clock, log }: RedisSettings) {
    this.name = address.name;
    this.#circuit = new Circuit({ failures: 1, waitMs: REST_MS, maxWaitMs: REST_MS, clock });
    this.#log = log;
    this.#client = new Redis(connectionOf(address.addr, databaseNumber, patience));
    this.ready = new Promise((resolve) => this.#client.once("ready", resolve));
    this.#client.on("ready", () => this.#isBack());
    // Without a listener an error would end the process.
    this.#client.on("error", (error) => this.#isAway(error));
    this.#client.on("close", () => this.#isAway(new Error("the connection was closed")));
  }

  async ask<T>(question: (client: Redis) => Promise<T>): Promise<T | undefined> {
    if (this.#client.status !== "ready") return undefined;
    try {
      const answer = await this.#circuit.run(
        () => question(this.#client),
        () => "nothing",
      );
      if (this.#away) this.#isBack();
      return answer;
    } catch (error) {
      if (!(error instanceof CircuitOpenError)) this.#isAway(error);
      return undefined;
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#client.status === "ready") await this.#client.quit().catch(() => undefined);
    this.#client.disconnect();
  }

  #isAway(error: unknown): void {
    this.#circuit.note("down");
    if (this.#away || this.#closing) return;
    this.#away = true;
    this.#log.warn({ shard: this.name, error }, "Redis is away: this process goes on by itself");
  }

  #isBack(): void {
    this.#circuit.note("alive");
    if (this.#away) this.#log.info({ shard: this.name }, "Redis is back");
    this.#away = false;
  }
}

/** Settings with which a server that is gone or silent is found out quickly, and nothing is sent twice or queued. */
function connectionOf(
  addr: string,
  databaseNumber: number,
  { connectMs, commandMs }: RedisPatience,
): Omit<RedisOptions, "replyMapping"> {
  const url = new URL(addr.includes("://") ? addr : `redis://${addr}`);
  const database = /^\/(\d+)$/.exec(url.pathname)?.[1];
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    db: database === undefined ? databaseNumber : Number(database),
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === "rediss:" ? { tls: {} } : {}),
    connectionName: "mxcdn",
    connectTimeout: connectMs,
    commandTimeout: commandMs,
    socketTimeout: SILENCE_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), MAX_RECONNECT_MS),
  };
}
