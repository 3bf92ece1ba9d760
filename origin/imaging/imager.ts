import { rm } from "node:fs/promises";
import { MatrixError } from "../../shared/matrix_error.ts";
import type { Log } from "../platform/log.ts";
import { WorkQueue } from "../platform/work_queue.ts";
import { DecoderEnded } from "./decoder.ts";
import { DecoderPool } from "./decoder_pool.ts";
import type { Answer, Question } from "./decoder_protocol.ts";
import { estimateMemory } from "./estimate_memory.ts";
import { hashFile } from "./hash_file.ts";
import type { ImageFormat, ImageInfo } from "./image_info.ts";
import { busy, notThumbnailable, toImagingError } from "./imaging_errors.ts";
import type { Drawn } from "./picture.ts";
import { type OriginalFits, planPicture, type Wish } from "./plan_picture.ts";
import { type ReadResidentBytes, readResidentBytes } from "./resident_memory.ts";
import { sniffFile } from "./sniff.ts";

/** How much the decoding of pictures may take. */
export interface ImagerOptions {
  /** Decoder processes at the same time, at most. As many as there are cores is best. */
  readonly processes: number;
  /** Pictures waiting beside those, at most. */
  readonly queueLength: number;
  /** Milliseconds that one step (reading the header, drawing) may take; waiting for a turn not counted. */
  readonly timeoutMs: number;
  /** Pixels of one picture, at most; an animation may have twice as many in all its frames. */
  readonly maxPixels: number;
  /**
   * Resident bytes at which a decoder process is killed (it has 80 MB to begin with). What the pictures drawn at the same
   * time are estimated to take stays below it, too, so that in honest use all decoders together take about this much.
   */
  readonly maxMemoryBytes: number;
  readonly log?: Log;
  /** How the memory of a process is read, where not from /proc. */
  readonly readResidentBytes?: ReadResidentBytes;
}

/** A picture to make. */
export interface RenderJob extends Wish {
  /** The file of the source. Its name and claimed type do not matter. */
  readonly input: string;
  /** A new file, in a folder that exists. */
  readonly output: string;
}

/** A picture that was made, in the file that the job named. Bytes, pixels, hex. */
export interface RenderedImage extends Drawn {
  readonly kind: "image";
  readonly size: number;
  readonly sha256: string;
}

export type Rendered = RenderedImage | OriginalFits;

/** Looks into pictures and makes thumbnails of them, in processes that can be killed. */
export interface Imager {
  /**
   * What the header of the file at `path` says; `undefined` when it is no picture that we decode, or its header is broken.
   * Throws MatrixError 503 with a time to retry when too much is waiting.
   */
  probe(path: string, signal: AbortSignal): Promise<ImageInfo | undefined>;
  /**
   * Makes one thumbnail. Throws MatrixError: 400 M_UNKNOWN for what is no picture, is broken, or takes too long or too much
   * memory; 413 M_TOO_LARGE for too many pixels; 503 M_UNKNOWN with a time to retry when too much is waiting or the signal
   * is a deadline that has passed. Rejects with the signal's reason when that aborts otherwise. The output file is there
   * only when it resolves with an image.
   */
  render(job: RenderJob, signal: AbortSignal): Promise<Rendered>;
  /** Starts a decoder process, so that the first picture need not wait, and rejects when it is not fit to be used. */
  warmUp(): Promise<void>;
  /** Ids of the decoder processes that are alive. */
  readonly pids: readonly number[];
  /** Ends all decoder processes; what waits or runs fails with 503. Resolves when they have ended. */
  close(): Promise<void>;
}

type Ask = (question: Question) => Promise<Answer>;

/** Makes the one imager of a server. It starts no process before there is work. */
export function makeImager(options: ImagerOptions): Imager {
  const { processes, queueLength, maxPixels, maxMemoryBytes, timeoutMs, log } = options;
  const closing = new AbortController();
  const pool = new DecoderPool({ maxMemoryBytes, readResidentBytes: options.readResidentBytes ?? readResidentBytes });
  const line = new WorkQueue({ atOnce: processes, waiting: queueLength, full: busy });
  // Inside the line: whoever has a decoder may have to wait for the others' memory.
  const memory = new WorkQueue({ atOnce: processes, waiting: processes, capacity: maxMemoryBytes, full: busy });

  async function withDecoder<T>(caller: AbortSignal, work: (ask: Ask, signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = AbortSignal.any([caller, closing.signal]);
    const run = () => pool.lend((decoder) => work((question) => decoder.ask(question, { timeoutMs, signal }), signal));
    try {
      return await line.run(run, { signal });
    } catch (error) {
      if (error instanceof DecoderEnded) tell(error);
      throw toImagingError(error, caller);
    }
  }

  function tell({ end, message }: DecoderEnded): void {
    if (end === "unfit") log?.error({ detail: message }, "Decoder processes cannot be used");
    else log?.warn({ end, detail: message }, "A picture ended a decoder process");
  }

  async function drawInto(job: RenderJob, signal: AbortSignal): Promise<Rendered> {
    const format = await sniffFile(job.input);
    if (!format) throw notThumbnailable();
    return await withDecoder(signal, async (ask, either) => {
      const info = await inspect(ask, job.input, format);
      const plan = planPicture(info, job, maxPixels);
      if (plan.kind === "original_fits") return plan;
      const question = { ask: "draw", input: job.input, output: job.output, picture: plan.picture } as const;
      const weight = estimateMemory(info, plan.picture);
      const answer = await memory.run(() => ask(question), { weight, signal: either });
      if (answer.say !== "drawn") throw failure(answer);
      return { kind: "image", ...answer.drawn, ...(await hashFile(job.output, either)) };
    });
  }

  return {
    async probe(path, signal) {
      const format = await sniffFile(path);
      if (!format) return undefined;
      try {
        return await withDecoder(signal, (ask) => inspect(ask, path, format));
      } catch (error) {
        if (error instanceof MatrixError && error.status === 400) return undefined;
        throw error;
      }
    },

    async render(job, signal) {
      try {
        return await drawInto(job, signal);
      } catch (error) {
        await rm(job.output, { force: true });
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

async function inspect(ask: Ask, input: string, format: ImageFormat): Promise<ImageInfo> {
  const answer = await ask({ ask: "inspect", input, format });
  if (answer.say === "inspected") return answer.info;
  throw failure(answer);
}

function failure(answer: Answer): Error {
  if (answer.say === "broken") return notThumbnailable(new Error(answer.detail));
  return new Error(`Cannot make a thumbnail: ${answer.say === "failed" ? answer.detail : answer.say}`);
}
