import { open } from "node:fs/promises";
import sharp from "sharp";
import { inspectWithSharp } from "./raster.ts";
import type { Source } from "./source.ts";

/** Bytes. A drawing that needs more is data, not a picture to be looked at. */
const MAX_SVG_BYTES = 8 * 1024 * 1024;

/**
 * SVG, drawn at the size it says it has. It is always read into memory first: opened by its path, the library would read
 * the files that it names beside it. Drawing cannot be interrupted, only the process can be ended.
 */
export const svgSource: Source = {
  inspect: async (path) => await inspectWithSharp(await readSvg(path), "svg"),
  still: async (path, { maxPixels }) => sharp(await readSvg(path), { limitInputPixels: maxPixels }),
};

async function readSvg(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    if ((await file.stat()).size > MAX_SVG_BYTES) throw new Error("The SVG is too long");
    return await file.readFile();
  } finally {
    await file.close();
  }
}
