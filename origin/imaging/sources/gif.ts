import { type FileHandle, open } from "node:fs/promises";
import { makeRasterSource } from "./raster.ts";
import type { Source } from "./source.ts";

const raster = makeRasterSource("gif");

/**
 * GIF. The library takes a canvas of more than 2048 pixels (and of some well-known screens) for a mistake and uses the size
 * of the frames, but a browser believes it: such a file must not pass for a small picture.
 */
export const gifSource: Source = {
  ...raster,
  async inspect(path) {
    const [info, canvas] = await Promise.all([raster.inspect(path), readCanvas(path)]);
    const pixels = Math.max(info.pixels, canvas.width * canvas.height);
    const asStored = canvas.width === info.width && canvas.height === info.height;
    return { ...info, pixels, asStored };
  },
};

/** The logical screen, in pixels (GIF89a §18). */
async function readCanvas(path: string): Promise<{ width: number; height: number }> {
  const file = await open(path, "r");
  try {
    const head = await readHead(file);
    return { width: head.readUInt16LE(6), height: head.readUInt16LE(8) };
  } finally {
    await file.close();
  }
}

async function readHead(file: FileHandle): Promise<Buffer> {
  return (await file.read({ buffer: Buffer.alloc(10), position: 0 })).buffer;
}
