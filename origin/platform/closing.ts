import { sleep } from "./time.ts";

/** A step that hangs is left behind after so long, so that the rest is closed nevertheless. */
const STEP_MS = 5_000;

/** What is open and has to be closed in the end, in the reverse of the order in which it was opened. */
export class Closing {
  readonly #steps: (() => unknown)[] = [];
  #done: Promise<void> | undefined;

  /** Has something closed in the end, before all that was pushed earlier. */
  push(close: () => unknown): void {
    this.#steps.push(close);
  }

  /**
   * Closes everything, once. Each step gets five seconds, but for the last one (what was opened first: the database), which
   * nothing waits for. Throws the first error, after the rest is closed.
   */
  close(): Promise<void> {
    this.#done ??= this.#closeAll();
    return this.#done;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#steps.pop(); close; close = this.#steps.pop()) {
      const closed = Promise.resolve().then(close);
      const bounded = this.#steps.length > 0 ? Promise.race([closed, sleep(STEP_MS)]) : closed;
      await bounded.catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
