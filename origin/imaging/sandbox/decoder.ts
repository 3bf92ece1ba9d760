import { type ChildProcess, fork } from "node:child_process";
import { sleep } from "../../platform/time.ts";
import { type Answer, type Message, parseMessage, type Question } from "./decoder_protocol.ts";
import type { ReadProcessUsage, TimeLimit } from "./limits.ts";

/**
 * Why a decoder process did not answer. Caused by the file: `time`, it took too much processor time; `memory`, too much memory;
 * `crash`, the process ended by itself. Caused by the machine: `slow`, the processor was busy with other work; `killed`, a signal
 * from another process or the kernel (when memory runs short); `unfit`, the process could not be started.
 */
export type DecoderEnd = "time" | "memory" | "crash" | "slow" | "killed" | "unfit";

/** A decoder process ended instead of answering. `message` is for the log. */
export class DecoderEnded extends Error {
  readonly end: DecoderEnd;

  constructor(end: DecoderEnd, detail: string) {
    super(`A decoder process ended (${end}): ${detail}`);
    this.name = "DecoderEnded";
    this.end = end;
  }
}

/** What a decoder process may take. */
export interface DecoderLimits {
  /** Resident bytes above which it is killed. */
  readonly maxMemoryBytes: number;
  readonly readProcessUsage: ReadProcessUsage;
}

const PROGRAM = new URL("./decoder_process.ts", import.meta.url);

/** For loading the program from a slow disk. */
const START_MS = 20_000;
const WATCH_MS = 25;
/** Waits no longer for a process that the kernel cannot end at once (a hanging network disk). */
const END_MS = 2_000;
const MAX_STDERR = 2_000;

/** Signals that a process causes by itself. Any other was sent to it. */
const OWN_SIGNALS = new Set(["SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"]);

/**
 * Nothing of our own environment, which holds secrets. Two arenas: half the memory for the same work. Large pictures stay in
 * memory, which is limited, instead of going to a temporary file, which is not.
 */
const ENVIRONMENT = { MALLOC_ARENA_MAX: "2", UV_THREADPOOL_SIZE: "2", VIPS_DISC_THRESHOLD: "1000g" };

/** One process that decodes, one question at a time. It starts with the object, and is not started again once it has ended. */
export class Decoder {
  readonly #limits: DecoderLimits;
  readonly #child: ChildProcess | undefined;
  readonly #ended: Promise<void>;
  readonly #ready: Promise<void>;
  #end: DecoderEnded | undefined;
  #isReady = false;
  #stderr = "";
  #resident = 0;
  /** Processor time that the question under way may take, and what the process had had before it. */
  #cpu: { readonly maxMs: number; readonly beforeMs: number | undefined } | undefined;
  #onMessage: (message: Message) => void = () => {};
  #fail: (reason: unknown) => void = () => {};

  constructor(limits: DecoderLimits) {
    this.#limits = limits;
    this.#child = this.#fork();
    this.#ended = this.#child ? this.#follow(this.#child) : Promise.resolve();
    this.#ready = this.#start();
    this.#ready.catch(() => {});
  }

  /** It can be asked something. */
  get isAlive(): boolean {
    return this.#end === undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when it takes questions, rejects with {@link DecoderEnded} when it is not fit to. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Resident bytes when last seen. */
  get residentBytes(): number {
    return this.#resident;
  }

  /**
   * Waits for the answer. Rejects, and then the process is gone, with {@link DecoderEnded} when it takes longer than
   * it may, more memory than it may, or ends, and with the signal's reason when that aborts.
   */
  async ask(question: Question, options: { limit: TimeLimit; signal: AbortSignal }): Promise<Answer> {
    const { signal, limit } = options;
    const abort = () => this.kill(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      await this.#ready;
      return await this.#watched(question, limit);
    } catch (error) {
      await this.#whenEnded();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Ends the process, and what it is asked rejects with `reason`. Resolves when it has ended. */
  async kill(reason: unknown = new DecoderEnded("killed", "by us")): Promise<void> {
    this.#fail(reason);
    this.#finish("killed", "by us");
    await this.#whenEnded();
  }

  /** `undefined` where the machine refuses (no descriptors, processes or memory left). */
  #fork(): ChildProcess | undefined {
    try {
      return fork(PROGRAM, {
        env: ENVIRONMENT,
        execArgv: ["--max-old-space-size=128"],
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      });
    } catch (error) {
      this.#finish("unfit", describe(error));
      return undefined;
    }
  }

  /** Owns everything that the process can send or fail with. Resolves when it has ended. */
  #follow(child: ChildProcess): Promise<void> {
    child.stderr?.on("data", (text) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR);
    });
    child.stderr?.on("error", () => undefined);
    child.on("message", (value) => this.#receive(value));
    child.on("error", (error) => this.#channelFailed(error));
    return new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        const isOwn = signal === null || OWN_SIGNALS.has(signal);
        this.#finish(isOwn ? "crash" : "killed", `exit ${signal ?? code}: ${this.#stderr}`);
        resolve();
      });
      if (child.pid === undefined) resolve();
    });
  }

  /** The channel to the process failed. The exit says how it ended; without a process, or an exit in time, it is ended here. */
  #channelFailed(error: Error): void {
    if (this.pid === undefined) this.#finish("unfit", describe(error));
    else void Promise.race([this.#ended, sleep(END_MS)]).then(() => this.#finish("killed", describe(error)));
  }

  async #start(): Promise<void> {
    const message = await this.#next(START_MS, () => true);
    this.#isReady = message.say === "ready";
    if (this.#isReady) return;
    this.#finish("unfit", message.say === "failed" ? message.detail : message.say);
    throw this.#end;
  }

  async #watched(question: Question, { cpuMs, wallMs }: TimeLimit): Promise<Answer> {
    this.#cpu = { maxMs: cpuMs, beforeMs: this.#usage()?.cpuMs };
    const watch = setInterval(() => this.#sample(), WATCH_MS);
    try {
      const answer = this.#next(wallMs, (message) => message.say !== "ready" && message.say !== "usage");
      this.#child?.send(question, (error) => error && this.#channelFailed(error));
      const message = await answer;
      this.#sample();
      return message as Answer;
    } finally {
      clearInterval(watch);
      this.#cpu = undefined;
    }
  }

  #next(wallMs: number, isAnswer: (message: Message) => boolean): Promise<Message> {
    return new Promise<Message>((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      const timer = setTimeout(() => this.#finish("slow", `no answer within ${wallMs} ms`), wallMs);
      const settle = () => {
        clearTimeout(timer);
        this.#onMessage = this.#fail = () => {};
      };
      this.#onMessage = (message) => {
        if (!isAnswer(message)) return;
        settle();
        resolve(message);
      };
      this.#fail = (reason) => {
        settle();
        reject(reason);
      };
    });
  }

  #receive(value: unknown): void {
    const message = parseMessage(value);
    if (message?.say === "usage") this.#measure(message.bytes, message.cpuMs);
    if (message) this.#onMessage(message);
    else this.#finish("crash", "it sent an invalid message");
  }

  #usage() {
    return this.pid === undefined ? undefined : this.#limits.readProcessUsage(this.pid);
  }

  #sample(): void {
    const usage = this.#usage();
    const beforeMs = this.#cpu?.beforeMs;
    if (usage) this.#measure(usage.residentBytes, beforeMs === undefined ? 0 : usage.cpuMs - beforeMs);
  }

  #measure(residentBytes: number, cpuMs: number): void {
    this.#resident = residentBytes;
    const { maxMs } = this.#cpu ?? { maxMs: Number.POSITIVE_INFINITY };
    if (residentBytes > this.#limits.maxMemoryBytes) this.#finish("memory", `${residentBytes} bytes resident`);
    else if (cpuMs > maxMs) this.#finish("time", `${cpuMs} ms of processor time`);
  }

  #finish(end: DecoderEnd, detail: string): void {
    if (this.#end) return;
    this.#end = new DecoderEnded(this.#isReady ? end : "unfit", detail);
    this.#child?.kill("SIGKILL");
    this.#fail(this.#end);
  }

  async #whenEnded(): Promise<void> {
    if (this.isAlive) return;
    await Promise.race([this.#ended, sleep(END_MS)]);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
