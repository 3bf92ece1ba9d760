import { Decoder, type DecoderLimits } from "./decoder.ts";

/** A decoder process is replaced after this many pictures, so that leaks of the libraries stay small. */
const JOBS_PER_DECODER = 200;

/** An idle process is ended after this time, to give its memory back. */
const IDLE_MS = 60_000;

/** The share of its memory that an idle decoder may keep; one that kept more is replaced. */
const IDLE_SHARE = 1 / 3;

interface Idle {
  readonly decoder: Decoder;
  readonly jobs: number;
  readonly timer: NodeJS.Timeout;
}

/** Decoder processes, started when there is work for them and kept for the next. The caller bounds how many there are. */
export class DecoderPool {
  readonly #limits: DecoderLimits;
  readonly #idleMs: number;
  readonly #all = new Set<Decoder>();
  readonly #idle: Idle[] = [];
  #isClosed = false;

  constructor(limits: DecoderLimits, idleMs = IDLE_MS) {
    this.#limits = limits;
    this.#idleMs = idleMs;
  }

  /** The ids of the processes that are alive. */
  get pids(): number[] {
    return [...this.#all].flatMap(({ isAlive, pid }) => (isAlive && pid !== undefined ? [pid] : []));
  }

  /** Lends a decoder to `work` exclusively. `fresh`: a new process, which has read nothing yet. */
  async lend<T>(work: (decoder: Decoder) => Promise<T>, { fresh = false } = {}): Promise<T> {
    const { decoder, jobs } = fresh ? this.#begin() : this.#take();
    try {
      return await work(decoder);
    } finally {
      this.#giveBack(decoder, jobs + 1);
    }
  }

  /** Ends all of them, whatever they do. Resolves when they have ended. */
  async close(reason: unknown): Promise<void> {
    this.#isClosed = true;
    for (const { timer } of this.#idle.splice(0)) clearTimeout(timer);
    await Promise.all([...this.#all].map((decoder) => this.#end(decoder, reason)));
  }

  #take(): Pick<Idle, "decoder" | "jobs"> {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      clearTimeout(idle.timer);
      if (idle.decoder.isAlive) return idle;
      this.#all.delete(idle.decoder);
    }
    return this.#begin();
  }

  #begin(): Pick<Idle, "decoder" | "jobs"> {
    const decoder = new Decoder(this.#limits);
    this.#all.add(decoder);
    return { decoder, jobs: 0 };
  }

  #giveBack(decoder: Decoder, jobs: number): void {
    const isWornOut = jobs >= JOBS_PER_DECODER || decoder.residentBytes > this.#limits.maxMemoryBytes * IDLE_SHARE;
    if (this.#isClosed || isWornOut || !decoder.isAlive) {
      void this.#end(decoder);
      return;
    }
    const timer = setTimeout(() => this.#retire(decoder), this.#idleMs);
    timer.unref();
    this.#idle.push({ decoder, jobs, timer });
  }

  #retire(decoder: Decoder): void {
    this.#idle.splice(
      this.#idle.findIndex((idle) => idle.decoder === decoder),
      1,
    );
    void this.#end(decoder);
  }

  async #end(decoder: Decoder, reason?: unknown): Promise<void> {
    await decoder.kill(reason);
    this.#all.delete(decoder);
  }
}
