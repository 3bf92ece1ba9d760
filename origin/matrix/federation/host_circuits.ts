import { LRUCache } from "lru-cache";
import { Circuit, type Judgement } from "../../platform/circuit.ts";
import type { SteadyClock } from "../../platform/clock.ts";

/** Hosts in trouble that are remembered; the one longest out of use is forgotten first. */
const MAX_HOSTS = 10_000;

/** A {@link Circuit} for each remote server. Only those that fail take memory, and of those a bounded number. */
export class HostCircuits {
  readonly #options: { failures: number; clock: SteadyClock };
  readonly #troubled = new LRUCache<string, Circuit>({ max: MAX_HOSTS });

  /** `failures`: in a row, after which a host is left alone for a while (`federation.backoffAt`). */
  constructor(options: { failures: number; clock: SteadyClock }) {
    this.#options = options;
  }

  /** As {@link Circuit.run}, with the circuit of that host. */
  async run<T>(
    host: string,
    work: () => Promise<T>,
    judge: (error: unknown) => Judgement,
    judgeResult?: (result: T) => Judgement,
  ): Promise<T> {
    const circuit = this.#troubled.get(host) ?? new Circuit(this.#options);
    this.#troubled.set(host, circuit);
    try {
      return await circuit.run(work, judge, judgeResult);
    } finally {
      if (circuit.isQuiet) this.#troubled.delete(host);
      else this.#troubled.set(host, circuit);
    }
  }

  /** How many hosts are remembered. */
  get size(): number {
    return this.#troubled.size;
  }
}
