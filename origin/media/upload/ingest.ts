import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../../../shared/matrix/failure.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { StagedBody } from "../../stores/objects/datastore.ts";

/** A body that was received whole. `dispose` gives back the memory or removes the temporary file (if it is still there). */
export type Ingested = StagedBody & { dispose(): Promise<void> };

/** Where to put the bytes and how many there may be. `maxBytes` 0 means no limit; `declaredBytes` is what the sender announced. */
export interface IngestOptions {
  readonly folder: string;
  /** It is to lie on the disk before the upload is answered: the disk begins while the body arrives. */
  readonly isFlushed?: boolean;
  readonly makeId: MakeId;
  readonly maxBytes: number;
  readonly declaredBytes?: number | undefined;
  readonly memory: MemoryShare;
  readonly signal: AbortSignal;
}

/** Bodies of up to so many bytes are kept in memory until they are stored: no file is made, written and removed for them. */
const SMALL_BYTES = 256 * 1024;
/** What is written at once, and how often the disk is told to begin with what was written so far. */
const WRITE_BYTES = 1024 * 1024;
/** However small they are: the system takes 1,024 at the most. */
const WRITE_CHUNKS = 256;
const FLUSH_BYTES = 8 * 1024 * 1024;

/** Memory that all small bodies under way share, in bytes. Who finds none left takes a file. */
export class MemoryShare {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes what a small body may need; false where it is not there. */
  take(): boolean {
    if (this.#left < SMALL_BYTES) return false;
    this.#left -= SMALL_BYTES;
    return true;
  }

  give(): void {
    this.#left += SMALL_BYTES;
  }
}

/**
 * Takes a body in and learns its size and SHA-256 in the same pass: a small one in memory, a larger one in a temporary file. The
 * limit holds for the bytes that arrive, whatever was announced.
 *
 * Errors: 413 `M_TOO_LARGE` past the limit; 400 when the body ends before or after the announced length; whatever the
 * body throws when its sender goes away. In each case nothing is left behind.
 */
export async function ingest(body: AsyncIterable<Uint8Array>, options: IngestOptions): Promise<Ingested> {
  const counted = new CountedBody(body, options);
  const chunks = counted.chunks();
  const isSmall = (options.declaredBytes ?? 0) <= SMALL_BYTES && options.memory.take();
  let given = !isSmall;
  const dispose = async () => {
    if (!given) options.memory.give();
    given = true;
  };
  try {
    const small = isSmall ? await readSmall(chunks, options.declaredBytes ?? SMALL_BYTES) : NOTHING_READ;
    if (small.ended) return { bytes: small.bytes, ...counted.told(), dispose };
    const path = await writeFile(joined(small, chunks), options);
    await dispose();
    return { path, ...counted.told(), dispose: () => rm(path, { force: true }) };
  } catch (error) {
    await dispose();
    // Who sends it is to hear that nobody listens any more.
    await chunks.return(undefined).catch(() => undefined);
    throw error;
  }
}

/** Counts and hashes what passes. */
class CountedBody {
  size = 0;
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #options: IngestOptions;
  readonly #hash = createHash("sha256");

  constructor(body: AsyncIterable<Uint8Array>, options: IngestOptions) {
    this.#body = body;
    this.#options = options;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const { maxBytes, declaredBytes, signal } = this.#options;
    for await (const chunk of this.#body) {
      signal.throwIfAborted();
      this.size += chunk.byteLength;
      if (maxBytes > 0 && this.size > maxBytes) throw tooLarge(maxBytes);
      this.#hash.update(chunk);
      yield chunk;
    }
    if (declaredBytes !== undefined && declaredBytes !== this.size) throw lengthLied();
  }

  told(): { size: number; sha256: string } {
    return { size: this.size, sha256: this.#hash.digest("hex") };
  }
}

interface Begun {
  readonly bytes: Uint8Array;
  /** What came after `bytes` and had no room any more. */
  readonly over?: Uint8Array;
  readonly ended: boolean;
}

const NOTHING_READ: Begun = { bytes: new Uint8Array(), ended: false };

/** Reads until the body ends, or has more than `room` bytes. Copied together: of chunks, however tiny, none is kept. */
async function readSmall(chunks: AsyncGenerator<Uint8Array>, room: number): Promise<Begun> {
  const bytes = Buffer.allocUnsafeSlow(room);
  for (let filled = 0; ; ) {
    const { done, value } = await chunks.next();
    if (done) return { bytes: bytes.subarray(0, filled), ended: true };
    if (filled + value.byteLength > room) return { bytes: bytes.subarray(0, filled), over: value, ended: false };
    bytes.set(value, filled);
    filled += value.byteLength;
  }
}

async function* joined({ bytes, over }: Begun, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes;
  if (over) yield over;
  yield* rest;
}

async function writeFile(chunks: AsyncIterable<Uint8Array>, options: IngestOptions): Promise<string> {
  const { folder, makeId, isFlushed } = options;
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${makeId()}.part`);
  // The file is there before anything can fail: one that is made while its upload is being given up would stay.
  const file = await open(path, "wx", 0o600);
  try {
    await write(chunks, file, isFlushed === true);
    return path;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** Writes what has come while more is coming, in one call for many chunks, and waits where the disk is slower than the sender. */
async function write(chunks: AsyncIterable<Uint8Array>, file: FileHandle, isFlushed: boolean): Promise<void> {
  const flusher = new Flusher(file);
  let batch: Uint8Array[] = [];
  let bytes = 0;
  let position = 0;
  let writing = Promise.resolve();
  const writeBatch = async () => {
    await writing;
    writing = writeAll(file, batch, position);
    // Whoever waits for it next hears of its failure.
    writing.catch(() => undefined);
    position += bytes;
    if (isFlushed) flusher.note(bytes);
    batch = [];
    bytes = 0;
  };
  try {
    for await (const chunk of chunks) {
      batch.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= WRITE_BYTES || batch.length >= WRITE_CHUNKS) await writeBatch();
    }
    await writeBatch();
  } finally {
    await writing;
  }
}

/** The system may take less than all of it at once. */
async function writeAll(file: FileHandle, batch: readonly Uint8Array[], position: number): Promise<void> {
  const size = batch.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (size === 0) return;
  let { bytesWritten: done } = await file.writev(batch, position);
  const all = done < size ? Buffer.concat(batch) : undefined;
  while (all && done < size) done += (await file.write(all, done, size - done, position + done)).bytesWritten;
}

/** Lets the disk begin while the body arrives, so that little is left to be flushed at its end. */
class Flusher {
  readonly #file: FileHandle;
  #unflushed = 0;
  #isRunning = false;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  note(bytes: number): void {
    this.#unflushed += bytes;
    if (this.#unflushed < FLUSH_BYTES || this.#isRunning) return;
    this.#unflushed = 0;
    this.#isRunning = true;
    const ended = () => {
      this.#isRunning = false;
    };
    // A hint only: whether all of it lies on the disk is asked for when it is put.
    this.#file.datasync().then(ended, ended);
  }
}

/** The answer to a body of more than `maxBytes` bytes. */
export function tooLarge(maxBytes: number): Failure {
  return new Failure("too_large", `Cannot accept more than ${maxBytes} bytes`, {
    mrErrcode: "M_MEDIA_TOO_LARGE",
  });
}

function lengthLied(): Failure {
  return new Failure("unreadable", "Cannot accept a body whose length is not the one announced");
}
