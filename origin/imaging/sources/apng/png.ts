import { type FileHandle, open, readFile } from "node:fs/promises";
import sharp, { type Sharp } from "sharp";
import { makeRasterSource } from "../raster.ts";
import type { AnimationRequest, Source } from "../source.ts";
import { type Apng, type ApngFrame, parseApng } from "./apng.ts";
import { ApngCanvas } from "./apng_canvas.ts";
import { PNG_SIGNATURE } from "./png_chunks.ts";

const still = makeRasterSource("png");

/** PNG, and with it animated PNG, of which the library sees the first picture only: the rest is done here. */
export const pngSource: Source = {
  async inspect(path) {
    const [info, frames] = await Promise.all([still.inspect(path), claimedFrames(path)]);
    return { ...info, frames, animated: frames > 1 };
  },

  async still(path, request) {
    if (request.frame === 0) return await still.still(path, request);
    const apng = parseApng(await readFile(path), request.frame + 1);
    if (!apng) return await still.still(path, request);
    const canvas = makeCanvas(apng, request.maxPixels);
    for (const frame of apng.frames) canvas.draw(frame, await decode(apng, frame));
    return canvasImage(canvas);
  },

  async animation(path, request) {
    const apng = parseApng(await readFile(path), Number.POSITIVE_INFINITY);
    if (!apng) return undefined;
    const delay = apng.frames.map((frame) => frame.delayMs);
    const { width, height: pageHeight, maxPixels } = request;
    const raw = { width, height: pageHeight * delay.length, channels: 4, pageHeight } as const;
    return sharp(await drawFrames(apng, request), { raw, limitInputPixels: maxPixels }).webp({
      loop: apng.plays,
      delay,
    });
  },
};

/** Chunks that may stand before the pixels; a file with more is taken for a still. */
const MAX_CHUNKS = 1_000;

/** The number of frames that an `acTL` chunk claims; 1 without one. It stands before the pixels. */
async function claimedFrames(path: string): Promise<number> {
  const file = await open(path, "r");
  try {
    let at = PNG_SIGNATURE.length;
    for (let chunks = 0; chunks < MAX_CHUNKS; chunks += 1) {
      const { length, type, first } = await readChunkHead(file, at);
      if (type === "acTL") return Math.max(1, first);
      if (type === "IDAT" || type === "") return 1;
      at += length + 12;
    }
    return 1;
  } finally {
    await file.close();
  }
}

async function readChunkHead(file: FileHandle, position: number) {
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(12), position });
  const type = bytesRead < 12 ? "" : buffer.toString("latin1", 4, 8);
  return { length: buffer.readUInt32BE(0), type, first: buffer.readUInt32BE(8) };
}

function makeCanvas(apng: Apng, maxPixels: number): ApngCanvas {
  if (apng.width * apng.height > maxPixels) throw new Error("The picture has too many pixels");
  return new ApngCanvas(apng.width, apng.height);
}

/** The frames below one another: they have to be resized one by one, or the last row of one bleeds into the next. */
async function drawFrames(apng: Apng, { width, height, maxPixels }: AnimationRequest): Promise<Buffer> {
  const canvas = makeCanvas(apng, maxPixels / apng.frames.length);
  const drawn = Buffer.alloc(width * height * 4 * apng.frames.length);
  for (const [index, frame] of apng.frames.entries()) {
    canvas.draw(frame, await decode(apng, frame));
    const small = await canvasImage(canvas).resize({ width, height, fit: "cover" }).raw().toBuffer();
    small.copy(drawn, index * width * height * 4);
  }
  return drawn;
}

async function decode(apng: Apng, frame: ApngFrame): Promise<Buffer> {
  const image = sharp(apng.toPng(frame), { failOn: "error", limitInputPixels: apng.width * apng.height });
  return await image.toColourspace("srgb").ensureAlpha().raw({ depth: "uchar" }).toBuffer();
}

function canvasImage({ width, height, pixels }: ApngCanvas): Sharp {
  return sharp(pixels, { raw: { width, height, channels: 4 } });
}
