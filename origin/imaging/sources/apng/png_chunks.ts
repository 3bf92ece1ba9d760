import { crc32 } from "node:zlib";

/** One chunk of a PNG (PNG Third Edition §5.3). `whole` is everything from its length to its CRC. */
export interface PngChunk {
  readonly type: string;
  readonly data: Buffer;
  readonly whole: Buffer;
}

export const PNG_SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

/** Bytes of a chunk beside its data: length, type and CRC. */
const FRAME_BYTES = 12;

/** The chunks of a PNG, as far as they are whole. CRCs are left to the decoder. */
export function* pngChunks(file: Buffer): Generator<PngChunk> {
  let at = PNG_SIGNATURE.length;
  while (at + FRAME_BYTES <= file.length) {
    const end = at + FRAME_BYTES + file.readUInt32BE(at);
    if (end > file.length) return;
    yield {
      type: file.toString("latin1", at + 4, at + 8),
      data: file.subarray(at + 8, end - 4),
      whole: file.subarray(at, end),
    };
    at = end;
  }
}

/** A chunk, with its length and CRC. */
export function makePngChunk(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(FRAME_BYTES + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, "latin1");
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}
