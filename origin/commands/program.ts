import { readFileSync } from "node:fs";
import { type SteadyClock, steadyClock } from "../platform/clock.ts";

/** The process that a command runs in: where it writes, when it is asked to end, its version, and errors that nothing caught. */

/** Where a command writes what it does. */
export interface Output {
  /** Progress and results. */
  line(text: string): void;
  /** What the operator should know or act on. */
  warn(text: string): void;
  /** Writes text unchanged: several lines, or the output of a child process. */
  raw(text: string): void;
  /** The same on the standard error. */
  rawWarn(text: string): void;
}

/** What a command needs that runs until it is asked to end. */
export interface ServiceContext {
  readonly output: Output;
  /** Aborted when the process is asked to end. */
  readonly stop: AbortSignal;
  /** Milliseconds; only differences matter. */
  readonly now: SteadyClock;
}

/**
 * Writes to the standard output and the standard error of this process, each line with a name before it. A reader that closes
 * its end does not end the process.
 */
export function openOutput(name = "mxcdn"): Output {
  const { stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on("error", () => {});
  return {
    line: (text) => void stdout.write(`${name}: ${text}\n`),
    warn: (text) => void stderr.write(`${name}: ${text}\n`),
    raw: (text) => void stdout.write(text),
    rawWarn: (text) => void stderr.write(text),
  };
}

/** A second signal within this time counts as the first: npm passes on what the terminal has sent already. */
const SAME_SIGNAL_MS = 500;

/**
 * Becomes aborted when this process is asked to end: by SIGINT or SIGTERM, or because the process that started it with a
 * channel is gone. A second signal ends the process at once, with exit code 130.
 */
function stopSignal(now: SteadyClock): AbortSignal {
  const controller = new AbortController();
  let first: number | undefined;
  const ask = (): void => {
    if (first !== undefined && now() - first > SAME_SIGNAL_MS) process.exit(130);
    first ??= now();
    controller.abort(new Error("asked to end"));
  };
  process.on("SIGINT", ask);
  process.on("SIGTERM", ask);
  process.once("disconnect", ask);
  return controller.signal;
}

/** Runs a service in this process, which then ends with the exit code that `serve` resolves with, whatever is still open. */
export async function runService(output: Output, serve: (context: ServiceContext) => Promise<number>): Promise<never> {
  process.exit(await serve({ output, stop: stopSignal(steadyClock), now: steadyClock }));
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * Errors of the whole process that nothing caught. After one the state of the process is unknown: it has to end, after requests
 * under way had their time, and its supervisor starts it again.
 */
export class UnexpectedErrors {
  readonly #happened = new AbortController();
  #report: (error: unknown) => void;

  /** `report` is called with each error until {@link reportTo} names another function. */
  constructor(process: Pick<NodeJS.Process, "on">, report: (error: unknown) => void) {
    this.#report = report;
    const happen = (error: unknown) => this.#happen(error);
    process.on("uncaughtException", happen);
    process.on("unhandledRejection", happen);
  }

  /** Aborts with the first error. */
  get happened(): AbortSignal {
    return this.#happened.signal;
  }

  /** Later errors are passed to this function. */
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

/** The version of this program, from its package.json. */
export function programVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
