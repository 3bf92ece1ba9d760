import type { FileHandle } from "node:fs/promises";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";

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
  let onAbort = () => {};

  function close(): Promise<void> {
    signal.removeEventListener("abort", onAbort);
    return handle.close();
  }

  async function read(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const wanted = Math.min(CHUNK, end - position);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, position);
    if (signal.aborted) return;
    if (bytesRead === 0) throw new Error("Cannot read on: the file is shorter than it was");
    position += bytesRead;
    controller.enqueue(buffer.subarray(0, bytesRead));
    if (position === end) await close().then(() => controller.close());
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        onAbort = () => {
          controller.error(signal.reason);
          close().catch(() => undefined);
        };
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
      },
      async pull(controller) {
        try {
          if (position === end) await close().then(() => controller.close());
          else await read(controller);
        } catch (error) {
          await close().catch(() => undefined);
          throw error;
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}
