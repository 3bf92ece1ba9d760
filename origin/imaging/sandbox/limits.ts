import { readFileSync } from "node:fs";
import type { ImageFormat } from "../../platform/image_types.ts";
import type { ImageInfo, Picture } from "../picture.ts";

/** How much processor time and memory a picture may take in a decoder process, and how what it takes is measured. */

/**
 * How long one question to a decoder may take, in milliseconds. `cpuMs`: processor time; it does not grow when the machine is
 * busy, so that exceeding it is the picture's fault. `wallMs`: by the clock; exceeding only that is not.
 */
export interface TimeLimit {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** What every picture is allowed, however small: most take a hundredth of it. */
const BASE_MS = 2_000;

/** How many times the measured time (see below) is allowed: for slower machines, and files that are harder to read. */
const ALLOWANCE = 6;

/** The limit for any picture, whatever its header claims. */
const MOST_MS = 20_000;

/** Enough for a decoder that gets a quarter of a processor. */
const WALL_SHARE = 4;
const WALL_BASE_MS = 2_000;

/** Milliseconds for a megapixel of the source, measured with 12 to 50 megapixels of noise on one core of 3 GHz, and rounded up. */
const DECODING_MS: Readonly<Record<ImageFormat, number>> = {
  jpeg: 25,
  png: 40,
  webp: 30,
  gif: 30,
  avif: 70,
  tiff: 30,
  svg: 30,
};

/** The same for a megapixel of the result. PNG is the slowest, animations are WebP. */
const ENCODING_MS = 150;

/** For a megabyte of the file: a GIF of 100,000 frames, the text of an SVG. */
const READING_MS = 150;

/** For a megabyte of an SVG that is drawn: thousands of curves, whatever the pixels. */
const CURVES_MS = 2_500;

/** For reading the header. Some formats have no header, so that the whole file is read. */
export function inspectingLimit(fileBytes: number): TimeLimit {
  return timeLimit((fileBytes / 1e6) * READING_MS);
}

/** For drawing. */
export function drawingLimit(info: ImageInfo, picture: Picture, fileBytes: number): TimeLimit {
  const reading = (fileBytes / 1e6) * (info.format === "svg" ? CURVES_MS : READING_MS);
  // To reach a later frame means to decode all before it.
  const frames = picture.animate ? info.frames : picture.frame + 1;
  const decoding = (info.pixels / 1e6) * frames * DECODING_MS[info.format];
  const encoding = ((picture.width * picture.height) / 1e6) * (picture.animate ? info.frames : 1) * ENCODING_MS;
  return timeLimit(reading + decoding + encoding);
}

function timeLimit(expectedMs: number): TimeLimit {
  const cpuMs = Math.min(MOST_MS, BASE_MS + expectedMs * ALLOWANCE);
  return { cpuMs, wallMs: WALL_BASE_MS + cpuMs * WALL_SHARE };
}

/** Resident bytes of a decoder process that decodes nothing. */
const PROCESS_BYTES = 90_000_000;

/**
 * Bytes per pixel of the source at the peak, for channels of one byte; measured with 12 and 30 megapixels, rounded up.
 * JPEG, PNG and TIFF are read line by line, and JPEG is made smaller while it is read; AVIF keeps several copies.
 */
const DECODING_BYTES: Readonly<Record<ImageFormat, number>> = {
  jpeg: 1,
  png: 3,
  webp: 5,
  gif: 6,
  avif: 20,
  tiff: 3,
  svg: 8,
};

/** The same for what cannot be read line by line: progressive JPEG, interlaced PNG. */
const DECODING_WHOLE_BYTES = 7;

/** Bytes per pixel of the result: its raw pixels, rotated upright, and what the encoder keeps. */
const ENCODING_BYTES = 10;

/** Bytes per pixel of the frames of an animated result together. */
const ENCODING_FRAMES_BYTES = 5;

/**
 * The resident bytes that a decoder process is likely to reach when it draws this picture. It decides how many draw at once; no
 * process is killed for it.
 */
export function estimateMemory(info: ImageInfo, picture: Picture): number {
  const perPixel = info.interlaced
    ? Math.max(DECODING_WHOLE_BYTES, DECODING_BYTES[info.format])
    : DECODING_BYTES[info.format];
  const decoding = info.width * info.height * perPixel * info.depthBytes;
  const pixels = picture.width * picture.height;
  const encoding = picture.animate ? pixels * info.frames * ENCODING_FRAMES_BYTES : pixels * ENCODING_BYTES;
  return PROCESS_BYTES + decoding + encoding;
}

/** What a process takes: resident bytes now, and the milliseconds of processor time that it has had in all. */
export interface ProcessUsage {
  readonly residentBytes: number;
  readonly cpuMs: number;
}

/** Reads what a process takes; `undefined` without /proc, or when the process has ended. */
export type ReadProcessUsage = (pid: number) => ProcessUsage | undefined;

/** `USER_HZ`, which is the same wherever Node runs on Linux. */
const TICK_MS = 10;

/** From Linux' /proc. `status` and not `statm`, which counts in pages of a size that differs between machines. */
export const readProcessUsage: ReadProcessUsage = (pid) => {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    // After the name, which may hold anything: user and system time are the 12th and 13th field (proc_pid_stat(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ");
    const ticks = Number(fields?.[11]) + Number(fields?.[12]);
    if (kibibytes === undefined || Number.isNaN(ticks)) return undefined;
    return { residentBytes: Number(kibibytes) * 1024, cpuMs: ticks * TICK_MS };
  } catch {
    return undefined;
  }
};
