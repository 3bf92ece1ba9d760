import sharp from "sharp";
import { makePngChunk, PNG_SIGNATURE, pngChunks } from "../../../../origin/imaging/sources/apng/png_chunks.ts";

/** One frame of an animated PNG to be written. Pixels and milliseconds. */
export interface Frame {
  png: Buffer;
  x?: number;
  y?: number;
  delayMs?: number;
  disposal?: 0 | 1 | 2;
  over?: boolean;
}

/** An animated PNG with the canvas of its first frame. `poster`: a still picture of its own, which is no part of the animation. */
export function makeApng(
  frames: readonly Frame[],
  options: { plays?: number; poster?: Buffer; claims?: number } = {},
): Buffer {
  const first = options.poster ?? frames[0]?.png ?? Buffer.alloc(0);
  const [header, ...others] = [...pngChunks(first)];
  const shared = others.filter(({ type }) => type === "PLTE" || type === "tRNS").map(({ whole }) => whole);
  const control = Buffer.alloc(8);
  control.writeUInt32BE(options.claims ?? frames.length, 0);
  control.writeUInt32BE(options.plays ?? 0, 4);
  const parts = [PNG_SIGNATURE, header?.whole ?? Buffer.alloc(0), makePngChunk("acTL", control), ...shared];
  if (options.poster) parts.push(...pixels(options.poster).map((data) => makePngChunk("IDAT", data)));
  let sequence = 0;
  const next = () => {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(sequence++);
    return number;
  };
  for (const [index, frame] of frames.entries()) {
    parts.push(makePngChunk("fcTL", Buffer.concat([next(), controlOf(frame)])));
    const isFirstPicture = index === 0 && !options.poster;
    for (const data of pixels(frame.png)) {
      parts.push(isFirstPicture ? makePngChunk("IDAT", data) : makePngChunk("fdAT", Buffer.concat([next(), data])));
    }
  }
  return Buffer.concat([...parts, makePngChunk("IEND", Buffer.alloc(0))]);
}

/** A PNG of one colour, always with alpha and without palette so that frames go together. */
export async function plainPng(
  width: number,
  height: number,
  colour: { r: number; g: number; b: number; alpha: number },
) {
  const image = sharp({ create: { width, height, channels: 4, background: colour } });
  return await image.png({ palette: false }).toBuffer();
}

function controlOf(frame: Frame): Buffer {
  const { width, height } = sizeOf(frame.png);
  const control = Buffer.alloc(22);
  for (const [index, value] of [width, height, frame.x ?? 0, frame.y ?? 0].entries())
    control.writeUInt32BE(value, index * 4);
  const { delayMs = 50 } = frame;
  const unit = delayMs > 0xffff ? 1 : 1000;
  control.writeUInt16BE((delayMs * unit) / 1000, 16);
  control.writeUInt16BE(unit, 18);
  control.writeUInt8(frame.disposal ?? 0, 20);
  control.writeUInt8(frame.over ? 1 : 0, 21);
  return control;
}

function sizeOf(png: Buffer) {
  return { width: png.readUInt32BE(16), height: png.readUInt32BE(20) };
}

function pixels(png: Buffer): Buffer[] {
  return [...pngChunks(png)].filter(({ type }) => type === "IDAT").map(({ data }) => data);
}
