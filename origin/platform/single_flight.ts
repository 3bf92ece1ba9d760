/**
 * One run for all who ask for the same key at the same time: the first starts the work, the others wait for its outcome,
 * good or bad. Nothing is remembered once it has settled.
 */
export class SingleFlight<V> {
  readonly #running = new Map<string, Promise<V>>();

  /** The outcome of the run under `key`, started with `work` when none is under way. */
  run(key: string, work: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key);
    if (running) return running;
    const started = Promise.resolve()
      .then(work)
      .finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }

  /** How many keys are being worked on. */
  get size(): number {
    return this.#running.size;
  }
}
