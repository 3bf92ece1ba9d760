import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { isFailure } from "../../shared/matrix/failure.ts";
import type { SteadyClock } from "../platform/clock.ts";
import { type Claim, FairQueue, type Ticket } from "../platform/fair_queue.ts";
import type { ImageFormat } from "../platform/image_types.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { WorkQueue } from "../platform/work_queue.ts";
import { drawIdenticon } from "./identicon.ts";
import { busy, PictureError, toImagingError } from "./imaging_errors.ts";
import type { Drawn, ImageInfo } from "./picture.ts";
import { type OriginalFits, type PictureRequest, planPicture } from "./plan_picture.ts";
import { type Decoder, DecoderEnded } from "./sandbox/decoder.ts";
import { DecoderPool } from "./sandbox/decoder_pool.ts";
import type { Answer, Question } from "./sandbox/decoder_protocol.ts";
import {
  drawingLimit,
  estimateMemory,
  inspectingLimit,
  type ReadProcessUsage,
  readProcessUsage,
  type TimeLimit,
} from "./sandbox/limits.ts";
import { sniffFile } from "./sniff.ts";

/** How much the decoding of pictures may take. */
export interface ImagerOptions {
  /**
   * Decoder processes at the same time, at most. 0, and any more than that: one more than the machine has processors, since one
   * requester gets all but one of a few, and more than that only cost memory.
   */
  readonly processes: number;
  /** Pictures waiting beside those, at most; 500 unless said. */
  readonly queueLength?: number | undefined;
  /** Pixels of one picture, at most; an animation may have twice as many in all its frames. */
  readonly maxPixels: number;
  /**
   * Resident bytes at which a decoder process is killed (it starts with 80 MB); 1.2 GB unless said. The estimates for all pictures
   * that are drawn at the same time stay below it together, so that honest use of all decoders takes about this much.
   */
  readonly maxMemoryBytes?: number | undefined;
  readonly clock: SteadyClock;
  readonly log?: Log;
  readonly metrics?: Pick<Metrics, "decodingsWaiting" | "decodingBegun" | "decodingEnded">;
  /** How the usage of a process is read, where not from /proc. */
  readonly readProcessUsage?: ReadProcessUsage;
  /** How long each step may take, where not as long as is estimated for its picture. */
  readonly timeLimit?: TimeLimit;
}

/** A picture to make. */
export interface RenderJob extends PictureRequest {
  /** The file of the source. Its name and claimed type do not matter. */
  readonly input: string;
  /** What the source may be. */
  readonly formats: ReadonlySet<ImageFormat>;
  /** New files, in folders that exist: the picture is written to the first that can be. */
  readonly outputs: readonly string[];
}

/** A picture that was made, in the file `path` of those that the job named. Bytes, pixels, hex. */
export interface RenderedImage extends Omit<Drawn, "output"> {
  readonly kind: "image";
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

export type Rendered = RenderedImage | OriginalFits;

/** Sends a question to the decoder that was lent for the job. */
type Ask = (question: Question, limit: TimeLimit) => Promise<Answer>;

const QUEUE_LENGTH = 500;
const DECODER_BYTES = 1_200_000_000;
/** How long a picture may wait for a decoder, in milliseconds. */
const WAIT_MS = 30_000;
/** After so many milliseconds half of the decoder time that a requester has used is forgotten. */
const HALF_LIFE_MS = 60_000;
/** A picture whose decoder ends for another reason than our limits is tried again, in a process that has read nothing else. */
const TRIES = 2;

/**
 * Reads the headers of pictures and makes thumbnails of them, in decoder processes that can be killed. One per server; it starts
 * no process before there is work.
 */
export class Imager {
  readonly #options: ImagerOptions;
  readonly #pool: DecoderPool;
  /** Whoever waits for a decoder. */
  readonly #queue: FairQueue;
  /** Whoever has a decoder may have to wait for memory that the others use. */
  readonly #memory: WorkQueue;
  readonly #closing = new AbortController();

  constructor(options: ImagerOptions) {
    const { clock, queueLength = QUEUE_LENGTH, maxMemoryBytes = DECODER_BYTES } = options;
    const most = availableParallelism() + 1;
    const atOnce = options.processes === 0 ? most : Math.min(options.processes, most);
    this.#options = options;
    this.#pool = new DecoderPool({ maxMemoryBytes, readProcessUsage: options.readProcessUsage ?? readProcessUsage });
    this.#queue = new FairQueue({
      ...{ atOnce, waiting: queueLength, waitMs: WAIT_MS, refuse: busy },
      use: { clock, halfLifeMs: HALF_LIFE_MS },
    });
    this.#memory = new WorkQueue({ atOnce, waiting: atOnce, capacity: maxMemoryBytes, full: busy });
  }

  /**
   * Draws the identicon of a seed as a PNG, in the way of matrix-media-repo. The same seed and size (pixels) always give the same
   * bytes. Nothing is decoded for it.
   */
  static identicon(seed: string, size: { readonly width: number; readonly height: number }): Buffer {
    return drawIdenticon(seed, size);
  }

  /** An entry in the queue for decoders, for one picture: to be given to `probe` or `render`, once. */
  queueEntry(claim: Claim): Ticket {
    return this.#queue.ticket(claim);
  }

  /**
   * What the header of the file at `path` says; `undefined` when it is no picture of these formats, or its header is broken.
   * Throws a failure `busy` when too much is waiting.
   */
  async probe(
    path: string,
    formats: ReadonlySet<ImageFormat>,
    entry: Ticket,
    signal: AbortSignal,
  ): Promise<ImageInfo | undefined> {
    const { format, fileBytes } = await sniffFile(path);
    if (!format || !formats.has(format)) return undefined;
    try {
      return await this.#withDecoder(entry, signal, (ask) => inspect(ask, { input: path, format, fileBytes }));
    } catch (error) {
      if (isFailure(error, "unreadable")) return undefined;
      throw error;
    }
  }

  /**
   * Makes one thumbnail. Throws {@link PictureError}: `unreadable` for a file that is no picture of these formats, is damaged, or
   * takes too long or too much memory; `too_large` for too many pixels; `busy` where the machine could not draw it in time. Throws
   * another failure `busy` when too much is waiting, no decoder can be had, or the signal is a deadline that has passed. Rejects with
   * the signal's reason when that aborts otherwise, and with an error of the operating system, its `code` included, where none of
   * the outputs can be written. Of the outputs only the one that it resolves with exists afterwards.
   */
  async render(job: RenderJob, entry: Ticket, signal: AbortSignal): Promise<Rendered> {
    try {
      return await this.#renderInto(job, entry, signal);
    } catch (error) {
      await removeAll(job.outputs);
      throw error;
    }
  }

  /** Starts a decoder process, so that the first picture need not wait, and rejects when it is not fit to be used. */
  async warmUp(): Promise<void> {
    await this.#pool.lend((decoder) => decoder.ready);
  }

  /** Ids of the decoder processes that are alive. */
  get pids(): readonly number[] {
    return this.#pool.pids;
  }

  /** Ends all decoder processes; what waits or runs fails with `busy`. Resolves when they have ended. */
  async close(): Promise<void> {
    const reason = busy();
    this.#closing.abort(reason);
    await this.#pool.close(reason);
  }

  async #renderInto(job: RenderJob, entry: Ticket, signal: AbortSignal): Promise<Rendered> {
    const { input, outputs, formats } = job;
    const { format, fileBytes } = await sniffFile(input);
    if (!format) throw new PictureError("broken");
    if (!formats.has(format)) throw new PictureError("type");
    return await this.#withDecoder(entry, signal, async (ask, either) => {
      const info = await inspect(ask, { input, format, fileBytes });
      const plan = planPicture(info, job, this.#options.maxPixels);
      if (plan.kind === "original_fits") return plan;
      // An earlier try may already have begun to write.
      await removeAll(outputs);
      const question = { ask: "draw", input, outputs, picture: plan.picture } as const;
      const limit = drawingLimit(info, plan.picture, fileBytes);
      const weight = estimateMemory(info, plan.picture);
      const answer = await this.#memory.run(() => ask(question, limit), { weight, signal: either });
      if (answer.say !== "drawn") throw failure(answer);
      const { output, ...drawn } = answer.drawn;
      const path = outputs[output];
      if (path === undefined) throw failure(answer);
      return { kind: "image", path, ...drawn, ...(await hashFile(path, either)) };
    });
  }

  /** Does `work` with a decoder, once the queue grants one. The signal that it gets also aborts when the imager is closed. */
  async #withDecoder<T>(
    entry: Ticket,
    caller: AbortSignal,
    work: (ask: Ask, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { clock, metrics } = this.#options;
    const signal = AbortSignal.any([caller, this.#closing.signal]);
    const waitingMs = clock();
    try {
      const done = entry.run(async () => {
        metrics?.decodingBegun(clock() - waitingMs);
        metrics?.decodingsWaiting(this.#queue.waiting);
        return await this.#withTries((decoder) => work(this.#asking(decoder, signal), signal));
      }, signal);
      metrics?.decodingsWaiting(this.#queue.waiting);
      return await done;
    } catch (error) {
      throw toImagingError(error, caller);
    } finally {
      metrics?.decodingsWaiting(this.#queue.waiting);
    }
  }

  async #withTries<T>(work: (decoder: Decoder) => Promise<T>): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await this.#pool.lend(work, { fresh: tried > 1 });
      } catch (error) {
        if (!(error instanceof DecoderEnded)) throw error;
        const again = tried < TRIES && mayBeChance(error);
        this.#logEnd(error, again);
        if (!again) throw error;
      }
    }
  }

  #asking(decoder: Decoder, signal: AbortSignal): Ask {
    const { metrics, timeLimit } = this.#options;
    return async (question, limit) => {
      try {
        const answer = await decoder.ask(question, { limit: timeLimit ?? limit, signal });
        metrics?.decodingEnded(answer.say);
        return answer;
      } catch (error) {
        if (error instanceof DecoderEnded) metrics?.decodingEnded(error.end);
        throw error;
      }
    };
  }

  #logEnd({ end, message }: DecoderEnded, again: boolean): void {
    const { log } = this.#options;
    if (end === "unfit") log?.error({ detail: message, again }, "Decoder processes cannot be used");
    else log?.warn({ end, detail: message, again }, "A decoder process ended at a picture");
  }
}

interface Source {
  readonly input: string;
  readonly format: ImageFormat;
  readonly fileBytes: number;
}

async function inspect(ask: Ask, { input, format, fileBytes }: Source): Promise<ImageInfo> {
  const answer = await ask({ ask: "inspect", input, format }, inspectingLimit(fileBytes));
  if (answer.say === "inspected") return answer.info;
  throw failure(answer);
}

/** Whether something else than the picture may have ended the decoder. */
function mayBeChance({ end }: DecoderEnded): boolean {
  return end === "killed" || end === "crash" || end === "unfit";
}

function failure(answer: Answer): Error {
  if (answer.say === "broken") return new PictureError("broken", { cause: new Error(answer.detail) });
  const failed = answer.say === "failed" ? answer : { detail: answer.say, code: undefined };
  return Object.assign(new Error(`Cannot make a thumbnail: ${failed.detail}`), { code: failed.code });
}

async function removeAll(paths: readonly string[]): Promise<void> {
  await Promise.all(paths.map((path) => rm(path, { force: true }).catch(() => undefined)));
}

/** The size in bytes and the SHA-256 (hex) of a file. */
async function hashFile(path: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const bytes of createReadStream(path, { signal })) {
    size += (bytes as Buffer).length;
    hash.update(bytes as Buffer);
  }
  return { size, sha256: hash.digest("hex") };
}
