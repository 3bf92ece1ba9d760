import { Pool } from "undici";
import { type ConnectRules, connect, type Dial } from "./connect.ts";
import { FetchError } from "./fetch_error.ts";

/** Bounds of what may be open at once, and for how long an unused connection stays. */
export interface PoolLimits {
  /** Connections to one host; further requests wait. */
  connectionsPerHost: number;
  /** Hosts that connections are kept for; with all of them in use, requests to others fail as `busy`. */
  maxHosts: number;
  /** Milliseconds. */
  idleMs: number;
}

/** Bytes that the headers of an answer may have, all together. */
const MAX_HEADER_BYTES = 16_384;

interface Entry {
  pool: Pool;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

/** Kept connections, by a key that tells apart everything that a connection depends on. */
export class ConnectionPools {
  readonly #limits: PoolLimits;
  readonly #entries = new Map<string, Entry>();

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /** A pool to send requests through. Call `release` exactly once, when the answer's body is over. */
  lease(key: string, origin: string, dial: Dial, rules: ConnectRules): { pool: Pool; release: () => void } {
    const entry = this.#entries.get(key) ?? this.#open(key, origin, dial, rules);
    clearTimeout(entry.idle);
    entry.users += 1;
    return { pool: entry.pool, release: () => this.#release(key, entry) };
  }

  /** Ends every connection, also those in use. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const { idle } of entries) clearTimeout(idle);
    await Promise.all(entries.map(({ pool }) => pool.destroy(new FetchError("aborted", "Closing down"))));
  }

  #open(key: string, origin: string, dial: Dial, rules: ConnectRules): Entry {
    if (this.#entries.size >= this.#limits.maxHosts) this.#dropOneIdle();
    const pool = new Pool(origin, {
      connections: this.#limits.connectionsPerHost,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: this.#limits.idleMs,
      keepAliveMaxTimeout: this.#limits.idleMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      connect: (_options, callback) => {
        connect(dial, rules).then(
          (socket) => callback(null, socket),
          (error) => callback(error, null),
        );
      },
    });
    const entry: Entry = { pool, users: 0, idle: undefined };
    this.#entries.set(key, entry);
    return entry;
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
