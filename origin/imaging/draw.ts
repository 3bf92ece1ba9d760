import { rm, writeFile } from "node:fs/promises";
import sharp, { type OutputInfo, type Sharp } from "sharp";
import type { Drawn, Picture } from "./picture.ts";
import { SOURCES } from "./sources/sources.ts";

/**
 * Quality 80 is where pictures of this size stop looking worse. Not progressive: of a thumbnail that saves no bytes and
 * costs half as much time again.
 */
const JPEG = { quality: 80 } as const;

/** A third smaller than JPEG; more effort costs twice the time for 2 %. */
const WEBP = { quality: 80, effort: 2 } as const;

/** No effort: already 25 times cheaper than GIF, and half the price of the default. */
const ANIMATED_WEBP = { quality: 75, effort: 0 } as const;

type Encoded = Pick<Drawn, "type"> & { readonly data: Buffer; readonly info: OutputInfo };

/**
 * Decodes the file at `input`, and writes the picture to the first of the new files `outputs` that can be written: sRGB,
 * upright, without metadata. Throws when the picture is damaged or incomplete, or when no output can be written.
 */
export async function draw(input: string, outputs: readonly string[], picture: Picture): Promise<Drawn> {
  const { type, data, info } = (await drawAnimation(input, picture)) ?? (await drawStill(input, picture));
  const output = await write(outputs, data);
  return { type, width: info.width, height: info.pageHeight ?? info.height, animated: (info.pages ?? 1) > 1, output };
}

/** Which of the files it was written to. Throws what the last of them failed with. */
async function write(outputs: readonly string[], data: Buffer): Promise<number> {
  let failure: unknown = new Error("There is no file to write to");
  for (const [at, output] of outputs.entries()) {
    try {
      await writeFile(output, data, { flag: "wx", mode: 0o600 });
      return at;
    } catch (error) {
      failure = error;
      await rm(output, { force: true }).catch(() => undefined);
    }
  }
  throw failure;
}

async function drawAnimation(input: string, picture: Picture): Promise<Encoded | undefined> {
  if (!picture.animate) return undefined;
  const frames = await SOURCES[picture.format].animation?.(input, picture);
  if (!frames) return undefined;
  const webp = frames.toColourspace("srgb").webp(ANIMATED_WEBP);
  return { type: "image/webp", ...(await webp.toBuffer({ resolveWithObject: true })) };
}

async function drawStill(input: string, picture: Picture): Promise<Encoded> {
  const { width, height } = picture;
  const image = await SOURCES[picture.format].still(input, picture);
  const drawn = image.resize({ width, height, fit: "cover" }).toColourspace("srgb");
  if (picture.encode === "webp") {
    return { type: "image/webp", ...(await drawn.webp(WEBP).toBuffer({ resolveWithObject: true })) };
  }
  return await encode(drawn);
}

/**
 * Alpha from here on is opaque. No eye sees the difference, and resizing leaves a few such pixels in pictures that had
 * nothing transparent.
 */
const OPAQUE = 245;

/** Many pictures have an alpha channel in which nothing is transparent: only the pixels tell. */
async function encode(image: Sharp): Promise<Encoded> {
  const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const pixels = sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
  if (isTransparent(data, channels)) {
    return { type: "image/png", ...(await pixels.png().toBuffer({ resolveWithObject: true })) };
  }
  const jpeg = pixels.removeAlpha().jpeg(JPEG);
  return { type: "image/jpeg", ...(await jpeg.toBuffer({ resolveWithObject: true })) };
}

function isTransparent(pixels: Buffer, channels: number): boolean {
  if (channels % 2 === 1) return false;
  for (let at = channels - 1; at < pixels.length; at += channels) if ((pixels[at] ?? OPAQUE) < OPAQUE) return true;
  return false;
}
