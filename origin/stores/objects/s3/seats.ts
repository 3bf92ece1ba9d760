/** How many may sit at once, and when one who sits there has left in all but name. */
export interface SeatsOptions {
  readonly atOnce: number;
  /** Whoever has rested for so long, in milliseconds, gives way when all seats are taken. */
  readonly restMs: number;
  /** Makes the error for one who finds all seats taken. */
  readonly full: () => Error;
}

/** A seat that is taken, by one who works. */
export interface Seat {
  /** Aborts when the seat is given to another. */
  readonly signal: AbortSignal;
  works(): void;
  /** From now on its holder rests, until the next `works`. */
  rests(): void;
  /** Gives the seat back; doing it twice is no error. */
  leave(): void;
}

/**
 * Seats for those who each hold something scarce, such as a connection, for as long as they like: a film that is paused keeps
 * its seat for hours while there are others left. When all are taken, the one who has rested longest, and long enough, has to
 * go; where nobody has, the newcomer is refused.
 */
export class Seats {
  readonly #options: SeatsOptions;
  readonly #taken = new Set<Seat>();
  /** Those who have rested long enough, the longest first, and how to take their seat away. */
  readonly #resting = new Map<Seat, () => void>();

  constructor(options: SeatsOptions) {
    this.#options = options;
  }

  /** How many are taken. */
  get taken(): number {
    return this.#taken.size;
  }

  /** Takes a seat. Throws the error of `full`. */
  take(): Seat {
    if (this.#taken.size >= this.#options.atOnce) this.#clearOne();
    const away = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const stir = () => {
      clearTimeout(timer);
      this.#resting.delete(seat);
    };
    const clear = () => {
      seat.leave();
      away.abort(new Error("Gave way to another, after a rest that was too long"));
    };
    const seat: Seat = {
      signal: away.signal,
      works: stir,
      rests: () => {
        stir();
        if (!this.#taken.has(seat)) return;
        timer = setTimeout(() => this.#resting.set(seat, clear), this.#options.restMs);
        timer.unref();
      },
      leave: () => {
        stir();
        this.#taken.delete(seat);
      },
    };
    this.#taken.add(seat);
    return seat;
  }

  #clearOne(): void {
    const [clear] = this.#resting.values();
    if (!clear) throw this.#options.full();
    clear();
  }
}
