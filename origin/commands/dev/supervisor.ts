import { setTimeout as sleep } from "node:timers/promises";
import type { Output } from "../program.ts";
import { aborted } from "../program.ts";
import { CommandError } from "../trouble/describe_error.ts";
import type { ManagedProcess } from "./managed_process.ts";

/** Keeps a child process running: starts it again when it ends, and gives up when it ends too often. */

/** What to keep running. */
export interface SupervisorOptions {
  /** As in "the edge has ended". */
  readonly name: string;
  readonly start: () => ManagedProcess;
  /** Resolves when what was started answers; throws when the signal is aborted. */
  readonly ready: (signal: AbortSignal) => Promise<unknown>;
  /** Resolves when it has stopped answering without ending, or when the signal is aborted. */
  readonly silent?: (signal: AbortSignal) => Promise<unknown>;
  readonly output: Pick<Output, "line" | "warn">;
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
 * Within this time (ms) at most so many starts in a row may fail, and at most so many processes that had answered may end. The
 * second limit allows for processes that an operator or a test kills often.
 */
const WINDOW_MS = 60_000;
const MAX_FAILED = PAUSES_MS.length;
const MAX_ENDED = 40;

/**
 * A process that is started again when it has ended without being asked to: at once where it had answered, with growing pauses
 * where it ends before it answers.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #process: ManagedProcess | undefined;
  #failed: number[] = [];
  #ended: number[] = [];
  /** Aborted by `stop`: what ends then is not started again. */
  readonly #over = new AbortController();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /**
   * Starts it for the first time; resolves when it answers. Errors: what aborted the signal; `CommandError` where it ends instead,
   * or does not answer in time: the cause of a failed first start seldom goes away by itself.
   */
  async begin(until: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([until, this.#over.signal]);
    this.#process = this.#options.start();
    const failure = await this.#untilReady(this.#process, stop);
    stop.throwIfAborted();
    if (failure !== undefined) throw new CommandError(`${this.#options.name} ${failure}; what it said is above`);
    this.#options.output.line(`${this.#options.name} answers`);
  }

  /** Keeps it running until the signal is aborted. Throws `CommandError` when it has ended too often within a minute. */
  async keep(until: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([until, this.#over.signal]);
    const { name, output, now, pause = sleepFor } = this.#options;
    while (this.#process && !stop.aborted) {
      let reason: string | undefined = await this.#untilEnded(this.#process, stop);
      this.#ended.push(now());
      while (reason !== undefined && !stop.aborted) {
        this.#requirePatience(reason);
        const pauseMs = PAUSES_MS[this.#failed.length] ?? 0;
        output.warn(`${name} ${reason}: starting it again${pauseMs > 0 ? ` in ${pauseMs / 1000} s` : ""}`);
        if (pauseMs > 0) await pause(pauseMs, stop);
        if (stop.aborted) return;
        this.#process = this.#options.start();
        reason = await this.#untilReady(this.#process, stop);
        if (reason !== undefined) this.#failed.push(now());
      }
      if (stop.aborted) return;
      this.#failed = [];
      output.line(`${name} answers again`);
    }
  }

  /** Ends it for good: asks it to end, and ends it after `graceMs` milliseconds. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#over.abort(new Error("is to end"));
    await this.#process?.stop(graceMs);
  }

  /** Resolves with why it does not answer, and then it is gone; with nothing when it does, or when the signal is aborted. */
  async #untilReady(process: ManagedProcess, stop: AbortSignal): Promise<string | undefined> {
    const over = new AbortController();
    const late = AbortSignal.timeout(READY_MS);
    const ready = this.#options.ready(AbortSignal.any([stop, late, over.signal])).then(
      () => undefined,
      () => `does not answer after ${READY_MS / 1000} seconds`,
    );
    const failure = await Promise.race([ready, process.gone.then((how) => `has ended (${how})`)]);
    over.abort();
    if (failure === undefined || stop.aborted) return undefined;
    await process.stop(STOP_MS);
    return failure;
  }

  async #untilEnded(process: ManagedProcess, stop: AbortSignal): Promise<string> {
    const over = new AbortController();
    const gone = process.gone.then((how) => `has ended (${how})`);
    const silent = this.#options.silent?.(AbortSignal.any([stop, over.signal])).then(() => "does not answer any more");
    const reason = await Promise.race([gone, ...(silent ? [silent] : []), aborted(stop).then(() => "")]);
    over.abort();
    if (!stop.aborted) await process.stop(STOP_MS);
    return reason;
  }

  #requirePatience(reason: string): void {
    const { name, now } = this.#options;
    const recent = (times: readonly number[]) => times.filter((time) => now() - time < WINDOW_MS);
    this.#failed = recent(this.#failed);
    this.#ended = recent(this.#ended);
    const count = Math.max(this.#failed.length, this.#ended.length >= MAX_ENDED ? MAX_ENDED : 0);
    if (count < MAX_FAILED) return;
    throw new CommandError(
      `${name} ${reason}, and that ${count} times within a minute: giving up; what it said is above`,
    );
  }
}

/** Keeps this process alive, unlike the `sleep` of the platform: it may be the only pending timer. */
async function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
