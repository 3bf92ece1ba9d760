import { makePngChunk, PNG_SIGNATURE, pngChunks } from "./png_chunks.ts";

/** What becomes of a frame's region before the next frame is drawn (`dispose_op`). */
export type Disposal = "keep" | "clear" | "restore";

/** One picture of an animated PNG, as its `fcTL` chunk describes it. Pixels and milliseconds. */
export interface ApngFrame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly delayMs: number;
  readonly disposal: Disposal;
  /** `over`: blended with what lies below; otherwise in its place. */
  readonly over: boolean;
  /** The compressed pixels, in pieces. */
  readonly data: readonly Buffer[];
}

/** An animated PNG taken apart (PNG Third Edition §11.3.6: `acTL`, `fcTL`, `fdAT`). */
export interface Apng {
  readonly width: number;
  readonly height: number;
  /** How often it is played; 0 for ever. */
  readonly plays: number;
  readonly frames: readonly ApngFrame[];
  /** A complete PNG of the pixels of one frame alone. */
  readonly toPng: (frame: ApngFrame) => Buffer;
}

const DISPOSALS: readonly Disposal[] = ["keep", "clear", "restore"];

/** What a delay's denominator of 0 stands for. */
const HUNDREDTHS = 100;

/** The longest that the encoder takes. */
const MAX_DELAY_MS = 65_535;

/** What every frame needs to be understood: palette, transparency and colours. */
const SHARED = new Set(["PLTE", "tRNS", "iCCP", "sRGB", "gAMA", "cHRM", "cICP"]);

/**
 * Takes an animated PNG apart, up to `maxFrames` frames. Pixels are not looked at.
 * `undefined`: it is not animated, or so broken that it has to be taken for the still picture it also is (§11.3.6: a
 * frame that is not inside the canvas).
 */
export function parseApng(file: Buffer, maxFrames: number): Apng | undefined {
  const header: { ihdr?: Buffer; plays?: number; shared: Buffer[] } = { shared: [] };
  const frames: (ApngFrame & { data: Buffer[] })[] = [];
  for (const chunk of pngChunks(file)) {
    if (chunk.type === "fcTL" && frames.length === maxFrames) break;
    if (chunk.type === "IHDR") header.ihdr ??= chunk.data;
    else if (chunk.type === "acTL" && chunk.data.length === 8) header.plays ??= chunk.data.readUInt32BE(4);
    else if (chunk.type === "fcTL" && chunk.data.length === 26) frames.push({ ...readControl(chunk.data), data: [] });
    else if (chunk.type === "IDAT") frames[0]?.data.push(chunk.data);
    else if (chunk.type === "fdAT") frames.at(-1)?.data.push(chunk.data.subarray(4));
    else if (frames.every(isEmpty) && SHARED.has(chunk.type)) header.shared.push(chunk.whole);
  }
  const { ihdr, plays, shared } = header;
  if (ihdr?.length !== 13 || plays === undefined) return undefined;
  const [width, height] = [ihdr.readUInt32BE(0), ihdr.readUInt32BE(4)];
  const whole = frames.filter((frame) => !isEmpty(frame));
  if (whole.length === 0 || !whole.every((frame) => isInside(frame, width, height))) return undefined;
  return { width, height, plays, frames: whole, toPng: (frame) => joinFrame(ihdr, shared, frame) };
}

function readControl(data: Buffer): Omit<ApngFrame, "data"> {
  return {
    width: data.readUInt32BE(4),
    height: data.readUInt32BE(8),
    x: data.readUInt32BE(12),
    y: data.readUInt32BE(16),
    delayMs: Math.min(MAX_DELAY_MS, Math.round((1000 * data.readUInt16BE(20)) / (data.readUInt16BE(22) || HUNDREDTHS))),
    disposal: DISPOSALS[data.readUInt8(24)] ?? "keep",
    over: data.readUInt8(25) === 1,
  };
}

function isEmpty(frame: ApngFrame): boolean {
  return frame.data.length === 0;
}

function isInside(frame: ApngFrame, width: number, height: number): boolean {
  return frame.width > 0 && frame.height > 0 && frame.x + frame.width <= width && frame.y + frame.height <= height;
}

function joinFrame(ihdr: Buffer, shared: readonly Buffer[], frame: ApngFrame): Buffer {
  const header = Buffer.from(ihdr);
  header.writeUInt32BE(frame.width, 0);
  header.writeUInt32BE(frame.height, 4);
  const pixels = frame.data.map((data) => makePngChunk("IDAT", data));
  return Buffer.concat([
    PNG_SIGNATURE,
    makePngChunk("IHDR", header),
    ...shared,
    ...pixels,
    makePngChunk("IEND", Buffer.alloc(0)),
  ]);
}
