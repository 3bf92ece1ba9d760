/**
 * Errors that nobody has foreseen, in the whole process. After one nothing can be relied upon: the process has to end, once requests
 * under way had their time, and whoever supervises it starts it again.
 */
export class UnexpectedErrors {
  readonly #happened = new AbortController();
  #report: (error: unknown) => void;

  /** `report` says what happened as long as nobody knows better. */
  constructor(process: Pick<NodeJS.Process, "on">, report: (error: unknown) => void) {
    this.#report = report;
    const happen = (error: unknown) => this.#happen(error);
    process.on("uncaughtException", happen);
    process.on("unhandledRejection", happen);
  }

  /** Aborts with the first one. */
  get happened(): AbortSignal {
    return this.#happened.signal;
  }

  /** From now on they are reported there. */
  reportTo(report: (error: unknown) => void): void {
    this.#report = report;
  }

  #happen(error: unknown): void {
    try {
      this.#report(error);
    } finally {
      this.#happened.abort(error);
    }
  }
}
