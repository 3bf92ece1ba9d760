import type { FileHandle } from "node:fs/promises";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import { pullStream } from "../../platform/bytes.ts";

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
