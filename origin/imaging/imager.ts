import { rm } from "node:fs/promises";
import { isFailure } from "../../shared/matrix/failure.ts";
import type { SteadyClock } from "../platform/clock.ts";
import { type Claim, FairQueue, type Ticket } from "../platform/fair_queue.ts";
import type { ImageFormat } from "../platform/image_types.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { WorkQueue } from "../platform/work_queue.ts";
import { hashFile } from "./hash_file.ts";
import type { ImageInfo } from "./image_info.ts";
import { busy, PictureError, toImagingError } from "./imaging_errors.ts";
import type { Drawn } from "./picture.ts";
import { type OriginalFits, planPicture, type Wish } from "./plan_picture.ts";
import { type Decoder, DecoderEnded } from "./sandbox/decoder.ts";
import { DecoderPool } from "./sandbox/decoder_pool.ts";
import type { Answer, Question } from "./sandbox/decoder_protocol.ts";
import { estimateMemory } from "./sandbox/estimate_memory.ts";
import { type ReadProcessUsage, readProcessUsage } from "./sandbox/process_usage.ts";
import { drawingLimit, inspectingLimit, type TimeLimit } from "./sandbox/time_limit.ts";
import { sniffFile } from "./sniff.ts";

/** How much the decoding of pictures may take. */
export interface ImagerOptions {
  /** Decoder processes at the same time, at most. One asker has all but one of a few: one more than there are cores is best. */
  readonly processes: number;
  /** Pictures waiting beside those, at most. */
  readonly queueLength: number;
  /** Pixels of one picture, at most; an animation may have twice as many in all its frames. */
  readonly maxPixels: number;
  /**
   * Resident bytes at which a decoder process is killed (it has 80 MB to begin with). What the pictures drawn at the same
   * time are estimated to take stays below it, too, so that in honest use all decoders together take about this much.
   */
  readonly maxMemoryBytes: number;
  readonly clock: SteadyClock;
  readonly log?: Log;
  readonly metrics?: Pick<Metrics, "decodingsWaiting" | "decodingBegun" | "decodingEnded">;
  /** How the usage of a process is read, where not from /proc. */
  readonly readProcessUsage?: ReadProcessUsage;
  /** How long each step may take, where not as long as its picture lets expect. */
  readonly timeLimit?: TimeLimit;
}

/** A picture to make. */
export interface RenderJob extends Wish {
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

/** Looks into pictures and makes thumbnails of them, in processes that can be killed. */
export interface Imager {
  /** A place in the line for one picture, to be handed to `probe` or `render`. */
  turn(claim: Claim): Ticket;
  /**
   * What the header of the file at `path` says; `undefined` when it is no picture of these formats, or its header is broken.
   * Throws a failure `busy` when too much is waiting.
   */
  probe(
    path: string,
    formats: ReadonlySet<ImageFormat>,
    turn: Ticket,
    signal: AbortSignal,
  ): Promise<ImageInfo | undefined>;
  /**
   * Makes one thumbnail. Throws {@link PictureError}: `unreadable` for a file that is no picture of these formats, is damaged, or takes
   * too long or too much memory; `too_large` for too many pixels; `busy` where the machine could not draw it in time. Throws another
   * failure `busy` when too much is waiting, no decoder can be had, or the signal is a deadline that has passed. Rejects with the signal's reason when that aborts otherwise, and with an error of the operating
   * system, its `code` included, where none of the outputs can be written. Only the one that it resolves with is there then.
   */
  render(job: RenderJob, turn: Ticket, signal: AbortSignal): Promise<Rendered>;
  /** Starts a decoder process, so that the first picture need not wait, and rejects when it is not fit to be used. */
  warmUp(): Promise<void>;
  /** Ids of the decoder processes that are alive. */
  readonly pids: readonly number[];
  /** Ends all decoder processes; what waits or runs fails with `busy`. Resolves when they have ended. */
  close(): Promise<void>;
}

type Ask = (question: Question, limit: TimeLimit) => Promise<Answer>;

/** How long a picture may wait for its turn, in milliseconds. */
const WAIT_MS = 30_000;
/** Half of what somebody's pictures have taken is forgotten after so many milliseconds. */
const HALF_LIFE_MS = 60_000;
/** A picture whose decoder ends without our doing is tried again, in a process that has read nothing else. */
const TRIES = 2;

/** Makes the one imager of a server. It starts no process before there is work. */
export function makeImager(options: ImagerOptions): Imager {
  const { processes, queueLength, maxPixels, maxMemoryBytes, clock, log, metrics, timeLimit } = options;
  const closing = new AbortController();
  const pool = new DecoderPool({ maxMemoryBytes, readProcessUsage: options.readProcessUsage ?? readProcessUsage });
  const line = new FairQueue({
    ...{ atOnce: processes, waiting: queueLength, waitMs: WAIT_MS, refuse: busy },
    use: { clock, halfLifeMs: HALF_LIFE_MS },
  });
  // Inside the line: whoever has a decoder may have to wait for the others' memory.
  const memory = new WorkQueue({ atOnce: processes, waiting: processes, capacity: maxMemoryBytes, full: busy });

  async function withDecoder<T>(
    turn: Ticket,
    caller: AbortSignal,
    work: (ask: Ask, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const signal = AbortSignal.any([caller, closing.signal]);
    const waitingMs = clock();
    try {
      const done = turn.run(async () => {
        metrics?.decodingBegun(clock() - waitingMs);
        metrics?.decodingsWaiting(line.waiting);
        return await withTries((decoder) => work(asking(decoder, signal), signal));
      }, signal);
      metrics?.decodingsWaiting(line.waiting);
      return await done;
    } catch (error) {
      throw toImagingError(error, caller);
    } finally {
      metrics?.decodingsWaiting(line.waiting);
    }
  }

  async function withTries<T>(work: (decoder: Decoder) => Promise<T>): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await pool.lend(work, { fresh: tried > 1 });
      } catch (error) {
        if (!(error instanceof DecoderEnded)) throw error;
        const again = tried < TRIES && mayBeChance(error);
        tell(error, again);
        if (!again) throw error;
      }
    }
  }

  function asking(decoder: Decoder, signal: AbortSignal): Ask {
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

  function tell({ end, message }: DecoderEnded, again: boolean): void {
    if (end === "unfit") log?.error({ detail: message, again }, "Decoder processes cannot be used");
    else log?.warn({ end, detail: message, again }, "A decoder process ended at a picture");
  }

  async function drawInto(job: RenderJob, turn: Ticket, signal: AbortSignal): Promise<Rendered> {
    const { input, outputs, formats } = job;
    const { format, fileBytes } = await sniffFile(input);
    if (!format) throw new PictureError("broken");
    if (!formats.has(format)) throw new PictureError("type");
    return await withDecoder(turn, signal, async (ask, either) => {
      const info = await inspect(ask, { input, format, fileBytes });
      const plan = planPicture(info, job, maxPixels);
      if (plan.kind === "original_fits") return plan;
      // A try before this one may have come as far as writing.
      await removeAll(outputs);
      const question = { ask: "draw", input, outputs, picture: plan.picture } as const;
      const limit = drawingLimit(info, plan.picture, fileBytes);
      const weight = estimateMemory(info, plan.picture);
      const answer = await memory.run(() => ask(question, limit), { weight, signal: either });
      if (answer.say !== "drawn") throw failure(answer);
      const { output, ...drawn } = answer.drawn;
      const path = outputs[output];
      if (path === undefined) throw failure(answer);
      return { kind: "image", path, ...drawn, ...(await hashFile(path, either)) };
    });
  }

  return {
    turn: (claim) => line.ticket(claim),

    async probe(path, formats, turn, signal) {
      const { format, fileBytes } = await sniffFile(path);
      if (!format || !formats.has(format)) return undefined;
      try {
        return await withDecoder(turn, signal, (ask) => inspect(ask, { input: path, format, fileBytes }));
      } catch (error) {
        if (isFailure(error, "unreadable")) return undefined;
        throw error;
      }
    },

    async render(job, turn, signal) {
      try {
        return await drawInto(job, turn, signal);
      } catch (error) {
        await removeAll(job.outputs);
        throw error;
      }
    },

    warmUp: () => pool.lend((decoder) => decoder.ready),

    get pids() {
      return pool.pids;
    },

    async close() {
      const reason = busy();
      closing.abort(reason);
      await pool.close(reason);
    },
  };
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

/** It need not be the picture that ended the decoder. */
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
