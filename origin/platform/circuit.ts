import type { SteadyClock } from "./clock.ts";

/** Thrown instead of asking a service that has failed too often. */
export class CircuitOpenError extends Error {
  /** When asking again makes sense, in milliseconds from now. */
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super(`Not asked: it failed too often, and gets ${retryAfterMs} ms to recover`);
    this.name = "CircuitOpenError";
    this.retryAfterMs = retryAfterMs;
  }
}

/** What an error says of the service that was asked: it is down, it is alive (and refused), or nothing (we gave up ourselves). */
export type Judgement = "down" | "alive" | "nothing";

/** When a circuit opens, and for how long. Times in milliseconds. */
export interface CircuitOptions {
  /** Failures in a row after which nobody asks for a while. */
  readonly failures: number;
  readonly clock: SteadyClock;
  /** The first wait; each time the next try fails, too, the wait grows by half. Half a second unless said. */
  readonly waitMs?: number;
  /** The longest wait. A minute unless said. */
  readonly maxWaitMs?: number;
}

const WAIT_MS = 500;
const WAIT_GROWTH = 1.5;
const MAX_WAIT_MS = 60_000;

/**
 * A circuit breaker: spares a service that is down, and those who would wait for it. After `failures` failures in a row nobody asks
 * for a while; then one may try while all others are still turned away, and each time it fails the wait grows. The first sign of
 * life closes the circuit.
 */
export class Circuit {
  readonly #options: Required<CircuitOptions>;
  #failures = 0;
  #waitMs = 0;
  #openUntil = 0;
  #probing = false;

  constructor(options: CircuitOptions) {
    this.#options = { waitMs: WAIT_MS, maxWaitMs: MAX_WAIT_MS, ...options };
  }

  /**
   * Does the work, unless the circuit is open: then throws {@link CircuitOpenError} without starting it. `judge` looks at
   * what it throws, `judgeResult` at what it returns, which otherwise shows that it is alive.
   */
  async run<T>(
    work: () => Promise<T>,
    judge: (error: unknown) => Judgement,
    judgeResult: (result: T) => Judgement = () => "alive",
  ): Promise<T> {
    const isProbe = this.#enter();
    try {
      const result = await work();
      this.note(judgeResult(result));
      return result;
    } catch (error) {
      this.note(judge(error));
      throw error;
    } finally {
      if (isProbe) this.#probing = false;
    }
  }

  /** Takes note of what became known of the service beside {@link run}. */
  note(judgement: Judgement): void {
    if (judgement === "nothing") return;
    if (judgement === "down") this.#fail();
    else this.#recover();
  }

  /** True if nothing is known that would be lost with this circuit. */
  get isQuiet(): boolean {
    return this.#failures === 0 && !this.#probing;
  }

  #enter(): boolean {
    if (this.#failures < this.#options.failures) return false;
    const leftMs = this.#openUntil - this.#options.clock();
    if (leftMs > 0 || this.#probing) throw new CircuitOpenError(Math.max(leftMs, this.#options.waitMs));
    this.#probing = true;
    return true;
  }

  #fail(): void {
    const { failures, clock, waitMs, maxWaitMs } = this.#options;
    this.#failures += 1;
    if (this.#failures < failures) return;
    this.#waitMs = Math.min(this.#waitMs === 0 ? waitMs : this.#waitMs * WAIT_GROWTH, maxWaitMs);
    this.#openUntil = clock() + this.#waitMs;
  }

  #recover(): void {
    this.#failures = 0;
    this.#waitMs = 0;
  }
}
