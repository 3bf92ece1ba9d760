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

/** The library knows an SVG by this text among its first bytes; a long comment or a prefix may be there instead. */
const KNOWN_BY = "<svg";
const KNOWN_BYTES = 1_000;

/** The same drawing, with a comment that the library knows it by. */
function recognisable(svg: Buffer): Buffer {
  const head = svg.toString("latin1", 0, KNOWN_BYTES);
  if (head.toLowerCase().includes(KNOWN_BY)) return svg;
  // Nothing may stand before these two.
  const at = /^(?:\xef\xbb\xbf)?(?:<\?xml[^>]*>)?/.exec(head)?.[0].length ?? 0;
  return Buffer.concat([svg.subarray(0, at), Buffer.from(`<!--${KNOWN_BY}-->`), svg.subarray(at)]);
}

async function readSvg(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    if ((await file.stat()).size > MAX_SVG_BYTES) throw new Error("The SVG is too long");
    return recognisable(await file.readFile());
  } finally {
    await file.close();
  }
}
