import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { pullStream } from "../platform/bytes.ts";

const CHUNK = 128 * 1024;

/** Where to put the bytes. */
export interface GrowingFileOptions {
  readonly folder: string;
  readonly makeId: () => string;
  /** How many their sender said there will be. */
  readonly announcedBytes: number | undefined;
  /** Called when the last of its readers has left before its end. */
  readonly onAlone?: () => void;
}

/** A file that has come to its end. */
export interface GrownFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Removes it; who reads it reads on. */
  dispose(): Promise<void>;
}

/**
 * A temporary file that is written by one and read by any number meanwhile, each at its own pace: the file is what they share,
 * so nobody who reads slowly holds back the writer or another reader, and no bytes pile up in memory.
 *
 * Readers end only when the body is known to be whole; when it turns out wrong their streams fail. Where its length was
 * announced, the last byte is kept back until then.
 */
export class GrowingFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #options: GrowingFileOptions;
  #written = 0;
  #ended: { readonly error: unknown } | "open" | "whole" = "open";
  #users = 1;
  #isGivenUp = false;
  #news = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();

  private constructor(path: string, handle: FileHandle, options: GrowingFileOptions) {
    this.#path = path;
    this.#handle = handle;
    this.#options = options;
  }

  /** Makes an empty one. */
  static async create(options: GrowingFileOptions): Promise<GrowingFile> {
    const { folder, makeId } = options;
    await mkdir(folder, { recursive: true });
    const path = join(folder, `${makeId()}.part`);
    return new GrowingFile(path, await open(path, "wx+", 0o600), options);
  }

  /** How many bytes were written. */
  get size(): number {
    return this.#written;
  }

  /** Resolves when its writer and all readers are done, and it takes no more room. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Writes the next bytes. */
  async append(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.byteLength; ) {
      const { bytesWritten } = await this.#handle.write(chunk, done, chunk.byteLength - done, this.#written);
      done += bytesWritten;
      this.#written += bytesWritten;
    }
    this.#tell();
  }

  /** Says that this was all of it: readers come to their end. */
  finish(): GrownFile {
    this.#end("whole");
    return { path: this.#path, size: this.#written, dispose: () => this.#dispose() };
  }

  /** Says that the body is wrong: every reader's stream fails with `error`, and the file is removed. */
  async fail(error: unknown): Promise<void> {
    if (this.#ended !== "open") return;
    this.#end({ error });
    await this.#dispose();
  }

  /** The bytes from the first to the last, as they come. `undefined`: too late, the file is gone, or its writer was told to stop. */
  follow(signal: AbortSignal): ReadableStream<Uint8Array> | undefined {
    if (this.#users === 0 || this.#isGivenUp) return undefined;
    this.#users += 1;
    let position = 0;
    let hasLeft = false;
    return pullStream({
      signal,
      next: async () => {
        const chunk = await this.#next(position, () => hasLeft);
        position += chunk?.byteLength ?? 0;
        return chunk;
      },
      onEnd: () => {
        hasLeft = true;
        return this.#release();
      },
    });
  }

  /** The bytes at `position`, once there are some; `undefined` at the end, or when the reader has left. */
  async #next(position: number, hasLeft: () => boolean): Promise<Uint8Array | undefined> {
    while (position >= this.#readable()) {
      if (this.#ended === "whole") return undefined;
      if (this.#ended !== "open") throw this.#ended.error;
      await this.#news.promise;
      if (hasLeft()) return undefined;
    }
    const length = Math.min(CHUNK, this.#readable() - position);
    const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafeSlow(length), 0, length, position);
    if (bytesRead === 0) throw new Error("Cannot read on: the file is shorter than it was");
    return buffer.subarray(0, bytesRead);
  }

  /** How far readers may go. */
  #readable(): number {
    const { announcedBytes } = this.#options;
    if (this.#ended === "whole" || announcedBytes === undefined) return this.#written;
    return Math.min(this.#written, announcedBytes - 1);
  }

  #end(how: { readonly error: unknown } | "whole"): void {
    if (this.#ended === "open") this.#ended = how;
    this.#tell();
  }

  #tell(): void {
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers<void>();
    resolve();
  }

  async #dispose(): Promise<void> {
    await rm(this.#path, { force: true });
    await this.#release();
  }

  async #release(): Promise<void> {
    this.#users -= 1;
    if (this.#users === 1 && this.#ended === "open" && this.#options.onAlone) {
      this.#isGivenUp = true;
      this.#options.onAlone();
    }
    if (this.#users > 0) return;
    await this.#handle.close();
    this.#closed.resolve();
  }
}
