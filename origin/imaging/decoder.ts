import { type ChildProcess, fork } from "node:child_process";
import { pause } from "../platform/clock.ts";
import { type Answer, type Message, parseMessage, type Question } from "./decoder_protocol.ts";
import type { ReadResidentBytes } from "./resident_memory.ts";

/** Why a decoder process did not answer. `unfit`: before it was asked anything; the others are what a hostile file can bring about. */
export type DecoderEnd = "time" | "memory" | "crash" | "unfit";

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
  readonly readResidentBytes: ReadResidentBytes;
}

const PROGRAM = new URL("./decoder_process.ts", import.meta.url);

/** For loading the program from a slow disk. */
const START_MS = 20_000;
const WATCH_MS = 25;
/** A process that the kernel cannot end at once (a hanging network disk) is not waited for. */
const END_MS = 2_000;
const MAX_STDERR = 2_000;

/**
 * Nothing of our own environment, where secrets are. Two arenas: half the memory for the same work. Large pictures stay in
 * memory, which is watched, instead of going to a temporary file, which nobody watches.
 */
const ENVIRONMENT = { MALLOC_ARENA_MAX: "2", UV_THREADPOOL_SIZE: "2", VIPS_DISC_THRESHOLD: "1000g" };

/** One process that decodes, one question at a time. It is started at once; once it has ended it stays so. */
export class Decoder {
  readonly #limits: DecoderLimits;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #ready: Promise<void>;
  #end: DecoderEnded | undefined;
  #isReady = false;
  #stderr = "";
  #resident = 0;
  #heard: (message: Message) => void = () => {};
  #fail: (reason: unknown) => void = () => {};

  constructor(limits: DecoderLimits) {
    this.#limits = limits;
    this.#child = fork(PROGRAM, {
      env: ENVIRONMENT,
      execArgv: ["--max-old-space-size=128"],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.on("data", (text) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR);
    });
    this.#child.on("message", (value) => this.#hear(value));
    this.#child.on("error", (error) => this.#finish("crash", error.message));
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#finish("crash", `exit ${signal ?? code}: ${this.#stderr}`);
        resolve();
      });
      if (this.#child.pid === undefined) resolve();
    });
    this.#ready = this.#start();
    this.#ready.catch(() => {});
  }

  /** It can be asked something. */
  get isAlive(): boolean {
    return this.#end === undefined;
  }

  get pid(): number | undefined {
    return this.#child.pid;
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
   * `timeoutMs`, more memory than it may, or crashes, and with the signal's reason when that aborts.
   */
  async ask(question: Question, options: { timeoutMs: number; signal: AbortSignal }): Promise<Answer> {
    const { signal, timeoutMs } = options;
    const abort = () => this.kill(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      await this.#ready;
      return await this.#watched(question, timeoutMs);
    } catch (error) {
      await this.#gone();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Ends the process, and what it is asked rejects with `reason`. Resolves when it has ended. */
  async kill(reason: unknown = new DecoderEnded("crash", "killed")): Promise<void> {
    this.#fail(reason);
    this.#finish("crash", "killed");
    await this.#gone();
  }

  async #start(): Promise<void> {
    const message = await this.#next(START_MS, () => true);
    this.#isReady = message.say === "ready";
    if (this.#isReady) return;
    this.#finish("unfit", message.say === "failed" ? message.detail : message.say);
    throw this.#end;
  }

  async #watched(question: Question, timeoutMs: number): Promise<Answer> {
    const watch = setInterval(() => this.#sample(), WATCH_MS);
    try {
      const answer = this.#next(timeoutMs, (message) => message.say !== "ready" && message.say !== "resident");
      this.#child.send(question, (error) => error && this.#finish("crash", error.message));
      const message = await answer;
      this.#sample();
      return message as Answer;
    } finally {
      clearInterval(watch);
    }
  }

  #next(timeoutMs: number, isMeant: (message: Message) => boolean): Promise<Message> {
    return new Promise<Message>((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      const timer = setTimeout(() => this.#finish("time", `${timeoutMs} ms`), timeoutMs);
      const settle = () => {
        clearTimeout(timer);
        this.#heard = this.#fail = () => {};
      };
      this.#heard = (message) => {
        if (!isMeant(message)) return;
        settle();
        resolve(message);
      };
      this.#fail = (reason) => {
        settle();
        reject(reason);
      };
    });
  }

  #hear(value: unknown): void {
    const message = parseMessage(value);
    if (message?.say === "resident") this.#measure(message.bytes);
    if (message) this.#heard(message);
    else this.#finish("crash", "it said something that makes no sense");
  }

  #sample(): void {
    const { pid } = this.#child;
    const bytes = pid === undefined ? undefined : this.#limits.readResidentBytes(pid);
    if (bytes !== undefined) this.#measure(bytes);
  }

  #measure(bytes: number): void {
    this.#resident = bytes;
    if (bytes > this.#limits.maxMemoryBytes) this.#finish("memory", `${bytes} bytes resident`);
  }

  #finish(end: DecoderEnd, detail: string): void {
    if (this.#end) return;
    this.#end = new DecoderEnded(this.#isReady ? end : "unfit", detail);
    this.#child.kill("SIGKILL");
    this.#fail(this.#end);
  }

  async #gone(): Promise<void> {
    if (this.isAlive) return;
    await Promise.race([this.#ended, pause(END_MS)]);
  }
}
