import { close, fstat, open, read } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import { pullStream } from "../../platform/bytes.ts";
import type { SeekableBody } from "./datastore.ts";

/** What is read at once, and the largest file that is read whole when it is opened. */
const PIECE_BYTES = 256 * 1024;

/**
 * Opens a file of `size` bytes for reading at any position; `undefined` where there is none of this size. A small one is read and
 * closed again at once: three calls of the file system, and none afterwards. A large one holds a descriptor and one piece of memory.
 */
export async function openFile(path: string, size: number): Promise<SeekableBody | undefined> {
  const fd = await opened(path);
  if (fd === undefined) return undefined;
  try {
    if (size < PIECE_BYTES) return await readWhole(fd, size);
    if ((await sizeOf(fd)) === size) return new LargeFile(fd);
  } catch (error) {
    close(fd, ignore);
    throw error;
  }
  close(fd, ignore);
  return undefined;
}

/** A body that is here, and may be read by any number at once. */
export function bodyInMemory(bytes: Uint8Array, onClose: () => void = ignore): SeekableBody {
  return {
    pieceBytes: PIECE_BYTES,
    read: async (position, length) => bytes.subarray(position, position + length),
    close: onClose,
  };
}

class LargeFile implements SeekableBody {
  readonly pieceBytes = PIECE_BYTES;
  readonly #fd: number;
  #buffer: Buffer | undefined;
  #isReading = false;
  #isClosed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    if (this.#isClosed) throw new Error("Cannot read on: the file was closed");
    this.#buffer ??= Buffer.allocUnsafeSlow(Math.min(length, PIECE_BYTES));
    this.#isReading = true;
    try {
      const wanted = Math.min(length, this.#buffer.byteLength);
      const bytes = await readAt(this.#fd, this.#buffer, { length: wanted, position });
      if (bytes === 0) throw new Error("Cannot read on: the file is shorter than it was");
      return this.#buffer.subarray(0, bytes);
    } finally {
      this.#isReading = false;
      if (this.#isClosed) close(this.#fd, ignore);
    }
  }

  /** A descriptor that is closed while it is read from could be another file's by then. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isReading) close(this.#fd, ignore);
  }
}

/** One byte more is asked for than there must be: so its size is known without another call. */
async function readWhole(fd: number, size: number): Promise<SeekableBody | undefined> {
  const buffer = Buffer.allocUnsafeSlow(size + 1);
  const bytes = await readAt(fd, buffer, { length: size + 1, position: 0 });
  close(fd, ignore);
  return bytes === size ? bodyInMemory(buffer.subarray(0, size)) : undefined;
}

// With plain descriptors: each call of `node:fs/promises` costs several times as much as the work in the kernel.

function opened(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    open(path, "r", (error, fd) => {
      if (!error) resolve(fd);
      else if (error.code === "ENOENT" || error.code === "ENOTDIR") resolve(undefined);
      else reject(error);
    });
  });
}

function sizeOf(fd: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    fstat(fd, (error, found) => (error ? reject(error) : resolve(found.isFile() ? found.size : undefined)));
  });
}

function readAt(fd: number, buffer: Buffer, at: { length: number; position: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, at.length, at.position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
  });
}

function ignore(): void {}

/** What a stream reads at once, in bytes. */
const CHUNK = 128 * 1024;

/**
 * A slice of the bytes of an open file, read only when asked for: a reader that stops reading holds one file descriptor and no
 * memory. Owns the handle, and closes it at the end, on cancel, on abort and on error.
 *
 * Errors: one that says so when the file ends within the slice.
 */
export function fileStream(handle: FileHandle, slice: ByteSlice, signal: AbortSignal): ReadableStream<Uint8Array> {
  let position = slice.offset;
  const end = slice.offset + slice.length;
  return pullStream({
    signal,
    length: slice.length,
    async next() {
      const wanted = Math.min(CHUNK, end - position);
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, position);
      if (bytesRead === 0) throw new Error("Cannot read on: the file is shorter than it was");
      position += bytesRead;
      return buffer.subarray(0, bytesRead);
    },
    onEnd: () => handle.close(),
  });
}
