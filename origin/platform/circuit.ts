import type { SteadyClock } from "./clock.ts";

/** Thrown instead of asking a server that has failed too often. */
export class CircuitOpenError extends Error {
  /** When asking again makes sense, in milliseconds from now. */
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super(`Not asked: it failed too often, and gets ${retryAfterMs} ms to recover`);
    this.name = "CircuitOpenError";
    this.retryAfterMs = retryAfterMs;
  }
}

/** What an error says of the server: it is down, it is alive (and refused), or nothing (we gave up ourselves). */
export type Judgement = "down" | "alive" | "nothing";

const FIRST_WAIT_MS = 500;
const WAIT_GROWTH = 1.5;
const MAX_WAIT_MS = 60_000;

/**
 * Spares a server that is down, and those who would wait for it. After `failures` failures in a row nobody asks for half a
 * second; then one may try while all others are still turned away, and each time it fails the wait grows by half, up to a
 * minute. The first sign of life closes the circuit.
 */
export class Circuit {
  readonly #failuresAllowed: number;
  readonly #clock: SteadyClock;
  #failures = 0;
  #waitMs = 0;
  #openUntil = 0;
  #probing = false;

  constructor(options: { failures: number; clock: SteadyClock }) {
    this.#failuresAllowed = options.failures;
    this.#clock = options.clock;
  }

  /**
   * Does the work, unless the circuit is open: then throws {@link CircuitOpenError} without starting it. `judge` looks at
   * what it throws, `judgeResult` at what it returns, which otherwise shows that the server is alive.
   */
  async run<T>(
    work: () => Promise<T>,
    judge: (error: unknown) => Judgement,
    judgeResult: (result: T) => Judgement = () => "alive",
  ): Promise<T> {
    const isProbe = this.#enter();
    try {
      const result = await work();
      this.#learn(judgeResult(result));
      return result;
    } catch (error) {
      this.#learn(judge(error));
      throw error;
    } finally {
      if (isProbe) this.#probing = false;
    }
  }

  /** True if nothing is known that would be lost with this circuit. */
  get isQuiet(): boolean {
    return this.#failures === 0 && !this.#probing;
  }

  #enter(): boolean {
    if (this.#failures < this.#failuresAllowed) return false;
    const leftMs = this.#openUntil - this.#clock();
    if (leftMs > 0 || this.#probing) throw new CircuitOpenError(Math.max(leftMs, FIRST_WAIT_MS));
    this.#probing = true;
    return true;
  }

  #learn(judgement: Judgement): void {
    if (judgement === "nothing") return;
    if (judgement === "down") this.#fail();
    else this.#recover();
  }

  #fail(): void {
    this.#failures += 1;
    if (this.#failures < this.#failuresAllowed) return;
    this.#waitMs = Math.min(this.#waitMs === 0 ? FIRST_WAIT_MS : this.#waitMs * WAIT_GROWTH, MAX_WAIT_MS);
    this.#openUntil = this.#clock() + this.#waitMs;
  }

  #recover(): void {
    this.#failures = 0;
    this.#waitMs = 0;
  }
}
