import { withDeadline } from "./deadline.ts";

/** Keeps work alive although the request that began it is over: `ctx.waitUntil`. */
export type KeepAlive = (work: Promise<unknown>) => void;

/** One run of a flight. */
interface Running<V> {
  readonly startedMs: number;
  readonly result: Promise<V>;
}

/**
 * One run of the same work for all requests of this isolate that ask for it at once.
 *
 * The result must be plain data (it crosses requests; a stream or a Response would be refused by workerd). The work goes on when
 * the client that began it leaves, and each request waits by its own timer. No request joins a run that began more than
 * `joinMs` milliseconds ago, so a result is never older than that when it is given out.
 */
export class Flight<V> {
  readonly #running = new Map<string, Running<V>>();
  readonly #joinMs: number;
  readonly #waitMs: number;

  /** `joinMs`: how long others may join; `waitMs`: how long each request waits. */
  constructor(options: { joinMs: number; waitMs: number }) {
    this.#joinMs = options.joinMs;
    this.#waitMs = options.waitMs;
  }

  /** Joins the run for `key`, or begins it. Errors: those of the work, and `DeadlineExceeded`. */
  async run(key: string, nowMs: number, work: () => Promise<V>, keepAlive: KeepAlive): Promise<V> {
    const present = this.#running.get(key);
    const joined =
      present && nowMs - present.startedMs < this.#joinMs ? present : this.#begin(key, nowMs, work, keepAlive);
    return await withDeadline(this.#waitMs, "a shared read", () => joined.result);
  }

  #begin(key: string, startedMs: number, work: () => Promise<V>, keepAlive: KeepAlive): Running<V> {
    const running: Running<V> = { startedMs, result: work() };
    this.#running.set(key, running);
    const done = () => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
    keepAlive(running.result.then(done, done));
    return running;
  }
}
