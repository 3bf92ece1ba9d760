/** What one run weighs, and what takes it out of the line. */
export interface WorkOptions {
  /** In the unit of `capacity`; 1 unless said. More than the whole capacity counts as the whole: such work runs alone. */
  readonly weight?: number;
  /** Takes work that still waits out of the line, which then rejects with the signal's reason. Work that runs minds it itself. */
  readonly signal?: AbortSignal;
}

/** How much a {@link WorkQueue} does and keeps. */
export interface WorkQueueOptions {
  /** Runs at the same time, at most. */
  readonly atOnce: number;
  /** Waiting beside them, at most. */
  readonly waiting: number;
  /** What all that runs at the same time may weigh together. None: only `atOnce` counts. */
  readonly capacity?: number;
  /** Makes the error for work that finds the line full. */
  readonly full: () => Error;
}

interface Waiter {
  readonly weight: number;
  readonly start: () => void;
}

/**
 * A bounded line of work: so many at once, so heavy together, so many waiting, the rest refused at once.
 *
 * First come, first served, also by weight: heavy work at the head is not overtaken, so it cannot starve.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #capacity: number;
  readonly #line = new Set<Waiter>();
  #running = 0;
  #load = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#capacity = options.capacity ?? Number.POSITIVE_INFINITY;
  }

  /** How many run now. */
  get running(): number {
    return this.#running;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Runs `work` when its turn comes. Rejects with the error of `full`, the signal's reason, or what the work throws. */
  async run<T>(work: () => Promise<T>, options: WorkOptions = {}): Promise<T> {
    options.signal?.throwIfAborted();
    const weight = Math.min(options.weight ?? 1, this.#capacity);
    if (this.#line.size === 0 && this.#fits(weight)) this.#enter(weight);
    else await this.#wait(weight, options.signal);
    try {
      return await work();
    } finally {
      this.#leave(weight);
    }
  }

  #fits(weight: number): boolean {
    return this.#running < this.#options.atOnce && this.#load + weight <= this.#capacity;
  }

  #enter(weight: number): void {
    this.#running += 1;
    this.#load += weight;
  }

  #leave(weight: number): void {
    this.#running -= 1;
    // Weights may be fractions: an idle queue starts again from a clean zero.
    this.#load = this.#running === 0 ? 0 : this.#load - weight;
    this.#advance();
  }

  #advance(): void {
    for (const waiter of this.#line) {
      if (!this.#fits(waiter.weight)) return;
      this.#line.delete(waiter);
      this.#enter(waiter.weight);
      waiter.start();
    }
  }

  #wait(weight: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#line.size >= this.#options.waiting) return Promise.reject(this.#options.full());
    return new Promise((resolve, reject) => {
      const start = () => {
        signal?.removeEventListener("abort", giveUp);
        resolve();
      };
      const waiter = { weight, start };
      const giveUp = () => {
        this.#line.delete(waiter);
        reject(signal?.reason);
        // It may have been the heavy one at the head that held up the others.
        this.#advance();
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#line.add(waiter);
    });
  }
}
