import { FetchError } from "./fetch_error.ts";

/** One signal for a whole request: aborts when the time is over or when the caller's signal does, always with a {@link FetchError}. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal | undefined;

  constructor(timeoutMs: number, caller: AbortSignal | undefined) {
    this.#caller = caller;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new FetchError("timeout", `No complete answer within ${timeoutMs} ms`));
    }, timeoutMs);
    caller?.addEventListener("abort", this.#onCaller, { once: true });
    if (caller?.aborted) this.#onCaller();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The request is over: nothing aborts any more, and nothing is kept. */
  done(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#onCaller);
  }

  readonly #onCaller = () => {
    this.#controller.abort(new FetchError("aborted", "The caller gave up", this.#caller?.reason));
  };
}
