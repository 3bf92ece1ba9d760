import { type Dispatcher, Pool } from "undici";
import { type ConnectRules, connect, type Dial } from "./connect.ts";
import { ExchangeClient, MAX_HEADER_BYTES } from "./exchange.ts";
import { FetchError } from "./fetch_error.ts";

/** Bounds of what may be open at once, and for how long an unused connection stays. */
export interface PoolLimits {
  /** Connections to one host; further requests wait. */
  readonly connectionsPerHost: number;
  /** Hosts that connections are kept for; with all of them in use, requests to others fail as `busy`. */
  readonly maxHosts: number;
  /** Milliseconds. */
  readonly idleMs: number;
}

/** Somewhere to send requests to. */
export interface Place {
  /** Tells apart everything that a connection depends on. */
  readonly key: string;
  readonly origin: string;
  readonly dial: Dial;
  readonly rules: ConnectRules;
}

/** The right to send one request. */
export interface Lease {
  /** Takes the request, with its `Exchange` as `opaque`. */
  readonly dispatcher: Dispatcher;
  /** To be called exactly once, when the answer's body is over. */
  readonly release: () => void;
}

interface Entry {
  readonly pool: Pool;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

/** Connections that are kept, by their place. */
export class ConnectionPools {
  readonly #limits: PoolLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #unshared = new Set<ExchangeClient>();

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /** Sends over a kept connection if one is free, else over a new one. */
  lease(place: Place): Lease {
    const entry = this.#entries.get(place.key) ?? this.#open(place);
    clearTimeout(entry.idle);
    entry.users += 1;
    return { dispatcher: entry.pool, release: () => this.#release(place.key, entry) };
  }

  /** Sends over a new connection, which is not kept. */
  leaseNew(place: Place): Lease {
    const client = this.#makeClient(place);
    this.#unshared.add(client);
    const release = () => {
      this.#unshared.delete(client);
      client.destroy().catch(() => {});
    };
    return { dispatcher: client, release };
  }

  /** Ends every connection, also those in use. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    const all = [...entries.map(({ pool }) => pool), ...this.#unshared];
    this.#entries.clear();
    this.#unshared.clear();
    for (const { idle } of entries) clearTimeout(idle);
    await Promise.all(all.map((one) => one.destroy(new FetchError("aborted", "Closing down"))));
  }

  #open(place: Place): Entry {
    if (this.#entries.size >= this.#limits.maxHosts) this.#dropOneIdle();
    const pool = new Pool(place.origin, {
      connections: this.#limits.connectionsPerHost,
      allowH2: false,
      factory: () => this.#makeClient(place),
    });
    const entry: Entry = { pool, users: 0, idle: undefined };
    this.#entries.set(place.key, entry);
    return entry;
  }

  #makeClient({ origin, dial, rules }: Place): ExchangeClient {
    const options = {
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: this.#limits.idleMs,
      keepAliveMaxTimeout: this.#limits.idleMs,
      maxHeaderSize: MAX_HEADER_BYTES,
    };
    return new ExchangeClient(origin, options, () => connect(dial, rules));
  }

  #release(key: string, entry: Entry): void {
    entry.users -= 1;
    if (entry.users > 0 || this.#entries.get(key) !== entry) return;
    // Put last, so that the one longest unused stands first.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.idle = setTimeout(() => this.#drop(key, entry), this.#limits.idleMs).unref();
  }

  #dropOneIdle(): void {
    const idle = [...this.#entries].find(([, entry]) => entry.users === 0);
    if (!idle) throw new FetchError("busy", `Requests to ${this.#entries.size} hosts are under way`);
    this.#drop(...idle);
  }

  #drop(key: string, entry: Entry): void {
    clearTimeout(entry.idle);
    this.#entries.delete(key);
    entry.pool.destroy().catch(() => {});
  }
}
