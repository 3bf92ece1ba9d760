import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import { makePngChunk, PNG_SIGNATURE } from "./sources/apng/png_chunks.ts";

type Colour = readonly [red: number, green: number, blue: number];

const ROWS = 5;
const COLUMNS = 5;
/** The columns right of the middle mirror those left of it. */
const OWN_COLUMNS = 3;
const BACKGROUND: Colour = [224, 224, 224];
const FOREGROUNDS: readonly Colour[] = [
  [45, 79, 255],
  [254, 180, 44],
  [226, 121, 234],
  [30, 179, 253],
  [232, 77, 65],
  [49, 203, 115],
  [141, 69, 170],
];

/**
 * Draws the identicon of a seed as a PNG of two colours, in the way of matrix-media-repo: the first byte of the seed's MD5
 * chooses the colour, the bits of the others fill a grid of five rows, mirrored left to right, with half a cell around it. The
 * same seed and size (pixels) always give the same bytes.
 */
export function drawIdenticon(seed: string, size: { readonly width: number; readonly height: number }): Buffer {
  const digest = createHash("md5").update(seed).digest();
  const foreground = FOREGROUNDS[(digest[0] ?? 0) % FOREGROUNDS.length] ?? BACKGROUND;
  const isFilled = (column: number, row: number) => {
    const bit = Math.min(column, COLUMNS - 1 - column) * ROWS + row;
    return bit < OWN_COLUMNS * ROWS && (((digest[1 + (bit >> 3)] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
  };
  return encodePng(size, [BACKGROUND, foreground], cellsOf(size, isFilled));
}

/** Says of each pixel whether it lies in a filled cell. */
function cellsOf(
  { width, height }: { readonly width: number; readonly height: number },
  isFilled: (column: number, row: number) => boolean,
): (x: number, y: number) => boolean {
  const columnOf = gridLine(width, COLUMNS);
  const rowOf = gridLine(height, ROWS);
  return (x, y) => {
    const column = columnOf(x);
    const row = rowOf(y);
    return column !== undefined && row !== undefined && isFilled(column, row);
  };
}

/** Which of `cells` cells a coordinate lies in, on a side of `length` pixels; `undefined` in the margins. */
function gridLine(length: number, cells: number): (at: number) => number | undefined {
  const cell = Math.floor(length / (cells + 1));
  const margin = Math.floor(cell / 2);
  return (at) => {
    const index = Math.floor((at - margin) / cell);
    return index >= 0 && index < cells ? index : undefined;
  };
}

/** A PNG of one bit a pixel, with a palette (PNG specification, §11). */
function encodePng(
  { width, height }: { readonly width: number; readonly height: number },
  palette: readonly [Colour, Colour],
  isSecond: (x: number, y: number) => boolean,
): Buffer {
  const stride = 1 + Math.ceil(width / 8);
  const lines = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = y * stride + 1 + (x >> 3);
      if (isSecond(x, y)) lines[at] = (lines[at] ?? 0) | (0x80 >> (x & 7));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 3, 0, 0, 0], 8); // bits of a pixel, palette, deflate, adaptive filters, not interlaced
  return Buffer.concat([
    PNG_SIGNATURE,
    makePngChunk("IHDR", header),
    makePngChunk("PLTE", Buffer.from(palette.flat())),
    makePngChunk("IDAT", deflateSync(lines)),
    makePngChunk("IEND", Buffer.alloc(0)),
  ]);
}
