/** Work in order: bounded, done once for all who ask for it, or taken from a list until nothing is due. */

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

/** Work that is listed somewhere else, such as a table. */
export interface DueWork<T> {
  /** Up to `limit` pieces that are due now, the most urgent first. */
  readonly due: (limit: number) => Promise<readonly T[]>;
  /** Does one piece and takes it from the list. */
  readonly work: (piece: T, signal: AbortSignal) => Promise<void>;
  /** Called when `work` has failed: lets the piece wait, so that it is not due again at once. */
  readonly retryLater: (piece: T, error: unknown) => Promise<void>;
}

/** Small, so that what is urgent and comes later is seen soon. */
const PAGE = 40;
const AT_ONCE = 8;

/**
 * Works off a list, a few pieces at once, until nothing is due any more or `signal` aborts. One that fails keeps no other
 * from being done; where all of many fail, the rest is left to the next time. Returns how many were done.
 */
export async function drain<T>(list: DueWork<T>, signal: AbortSignal): Promise<number> {
  let done = 0;
  for (;;) {
    const page = await list.due(PAGE);
    const before = done;
    // One iterator for all workers: each takes the next piece.
    const left = page.values();
    const worker = async () => {
      for (const piece of left) if (!signal.aborted && (await attempt(list, piece, signal))) done += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (signal.aborted || page.length < PAGE || done === before) return done;
  }
}

async function attempt<T>(list: DueWork<T>, piece: T, signal: AbortSignal): Promise<boolean> {
  try {
    await list.work(piece, signal);
    return true;
  } catch (error) {
    // Work that was broken off has not failed: it is due at once in the next run.
    if (!signal.aborted) await list.retryLater(piece, error);
    return false;
  }
}

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
