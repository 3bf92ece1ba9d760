import { setTimeout as sleep } from "node:timers/promises";
import type { Say } from "../say.ts";
import { aborted } from "../stop_signal.ts";
import { LaunchError } from "../trouble/explain.ts";
import type { Part } from "./part.ts";

/** What is to be kept running. */
export interface SupervisedOptions {
  /** As in "the edge has ended". */
  readonly name: string;
  readonly start: () => Part;
  /** Resolves when what was started answers; throws when the signal is aborted. */
  readonly ready: (signal: AbortSignal) => Promise<unknown>;
  /** Resolves when it has stopped answering without ending, or when the signal is aborted. */
  readonly silent?: (signal: AbortSignal) => Promise<unknown>;
  readonly say: Pick<Say, "line" | "warn">;
  /** Milliseconds; only differences matter. */
  readonly now: () => number;
  /** Resolves after so many milliseconds, or when the signal is aborted. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How long it may take to answer, in milliseconds. */
const READY_MS = 120_000;
const STOP_MS = 3_000;
/** The pause before a new start, by how many starts in a row have failed before it. */
const PAUSES_MS = [0, 500, 1_000, 2_000, 4_000];
/**
 * Within this time, so many starts in a row may fail, and so many processes end that had answered: that many are ended by hand
 * only, or end nearly as soon as they answer.
 */
const WINDOW_MS = 60_000;
const MAX_FAILED = PAUSES_MS.length;
const MAX_ENDED = 40;

/**
 * A process that is started again when it has ended without being asked to: at once where it had answered, with growing pauses
 * where it ends before it answers.
 */
export class Supervised {
  readonly #options: SupervisedOptions;
  #part: Part | undefined;
  #failed: number[] = [];
  #ended: number[] = [];
  /** Aborted by `stop`: what ends then is not started again. */
  readonly #over = new AbortController();

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  /**
   * Starts it for the first time; resolves when it answers. Errors: what aborted the signal; `LaunchError` where it ends instead,
   * or does not answer in time: what keeps a first start from succeeding seldom goes away by itself.
   */
  async begin(until: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([until, this.#over.signal]);
    this.#part = this.#options.start();
    const failure = await this.#untilReady(this.#part, stop);
    stop.throwIfAborted();
    if (failure !== undefined) throw new LaunchError(`${this.#options.name} ${failure}; what it said is above`);
    this.#options.say.line(`${this.#options.name} answers`);
  }

  /** Keeps it running until the signal is aborted. Throws `LaunchError` when it has ended too often within a minute. */
  async keep(until: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([until, this.#over.signal]);
    const { name, say, now, pause = sleepFor } = this.#options;
    while (this.#part && !stop.aborted) {
      let reason: string | undefined = await this.#untilEnded(this.#part, stop);
      this.#ended.push(now());
      while (reason !== undefined && !stop.aborted) {
        this.#demandPatience(reason);
        const pauseMs = PAUSES_MS[this.#failed.length] ?? 0;
        say.warn(`${name} ${reason}: starting it again${pauseMs > 0 ? ` in ${pauseMs / 1000} s` : ""}`);
        if (pauseMs > 0) await pause(pauseMs, stop);
        if (stop.aborted) return;
        this.#part = this.#options.start();
        reason = await this.#untilReady(this.#part, stop);
        if (reason !== undefined) this.#failed.push(now());
      }
      if (stop.aborted) return;
      this.#failed = [];
      say.line(`${name} answers again`);
    }
  }

  /** Ends it for good: asks it to end, and ends it after `graceMs` milliseconds. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#over.abort(new Error("is to end"));
    await this.#part?.stop(graceMs);
  }

  /** Resolves with why it does not answer, and then it is gone; with nothing when it does, or when the signal is aborted. */
  async #untilReady(part: Part, stop: AbortSignal): Promise<string | undefined> {
    const over = new AbortController();
    const late = AbortSignal.timeout(READY_MS);
    const ready = this.#options.ready(AbortSignal.any([stop, late, over.signal])).then(
      () => undefined,
      () => `does not answer after ${READY_MS / 1000} seconds`,
    );
    const failure = await Promise.race([ready, part.gone.then((how) => `has ended (${how})`)]);
    over.abort();
    if (failure === undefined || stop.aborted) return undefined;
    await part.stop(STOP_MS);
    return failure;
  }

  async #untilEnded(part: Part, stop: AbortSignal): Promise<string> {
    const over = new AbortController();
    const gone = part.gone.then((how) => `has ended (${how})`);
    const silent = this.#options.silent?.(AbortSignal.any([stop, over.signal])).then(() => "does not answer any more");
    const reason = await Promise.race([gone, ...(silent ? [silent] : []), aborted(stop).then(() => "")]);
    over.abort();
    if (!stop.aborted) await part.stop(STOP_MS);
    return reason;
  }

  #demandPatience(reason: string): void {
    const { name, now } = this.#options;
    const recent = (times: readonly number[]) => times.filter((time) => now() - time < WINDOW_MS);
    this.#failed = recent(this.#failed);
    this.#ended = recent(this.#ended);
    const count = Math.max(this.#failed.length, this.#ended.length >= MAX_ENDED ? MAX_ENDED : 0);
    if (count < MAX_FAILED) return;
    throw new LaunchError(
      `${name} ${reason}, and that ${count} times within a minute: giving up; what it said is above`,
    );
  }
}

/** It keeps this process alive: there may be nothing else that does. */
async function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
