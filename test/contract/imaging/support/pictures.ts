import sharp, { type Sharp } from "sharp";

export type Colour = { r: number; g: number; b: number; alpha?: number };

export const RED: Colour = { r: 255, g: 0, b: 0 };
export const GREEN: Colour = { r: 0, g: 255, b: 0 };
export const BLUE: Colour = { r: 0, g: 0, b: 255 };
export const WHITE: Colour = { r: 255, g: 255, b: 255 };

/** A picture of one colour. */
export function plain(width: number, height: number, colour: Colour = RED): Sharp {
  return sharp({ create: { width, height, channels: colour.alpha === undefined ? 3 : 4, background: colour } });
}

/** A picture with another colour in each corner: red, green (above), blue, white (below). */
export function corners(width: number, height: number): Sharp {
  const part = { width: width / 2, height: height / 2 };
  const corner = (background: Colour) => ({ create: { ...part, channels: 3 as const, background } });
  return plain(width, height, RED).composite([
    { input: corner(GREEN), left: part.width, top: 0 },
    { input: corner(BLUE), left: 0, top: part.height },
    { input: corner(WHITE), left: part.width, top: part.height },
  ]);
}

/** An animation with a frame of each colour. */
export async function animation(
  format: "gif" | "webp",
  colours: readonly Colour[],
  options: { side?: number; loop?: number; delay?: number[] } = {},
) {
  const { side = 200, loop = 0, delay = colours.map(() => 100) } = options;
  const frames = await Promise.all(
    colours.map((colour) =>
      plain(side, side, { alpha: 1, ...colour })
        .png()
        .toBuffer(),
    ),
  );
  const joined = sharp(frames, { join: { animated: true } });
  return await (format === "gif"
    ? joined.gif({ loop, delay })
    : joined.webp({ loop, delay, lossless: true })
  ).toBuffer();
}

/** The colour of one pixel of the picture (of the given frame), coordinates from 0 to 1. */
export async function colourAt(picture: Buffer, x: number, y: number, page = 0): Promise<Colour> {
  const image = sharp(picture, { page, failOn: "none" }).toColourspace("srgb").ensureAlpha();
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const at = (Math.floor(y * (info.height - 1)) * info.width + Math.floor(x * (info.width - 1))) * info.channels;
  const [r = -1, g = -1, b = -1, alpha = -1] = data.subarray(at, at + 4);
  return { r, g, b, alpha: alpha / 255 };
}

/** Whether two colours look the same after a lossy encoder. */
export function isClose(one: Colour, other: Colour, by = 12): boolean {
  return (["r", "g", "b"] as const).every((channel) => Math.abs(one[channel] - other[channel]) <= by);
}

/** The name of the colour of one of the corners, or the colour itself. */
export async function nameAt(picture: Buffer, x: number, y: number, page = 0): Promise<string> {
  const found = await colourAt(picture, x, y, page);
  const names: Record<string, Colour> = { red: RED, green: GREEN, blue: BLUE, white: WHITE };
  return Object.keys(names).find((name) => isClose(found, names[name] ?? found, 40)) ?? JSON.stringify(found);
}
