import sharp from "sharp";

/** A JPEG that looks like a photograph to an encoder: colours that change everywhere. Never the same twice, unless `seed` is given. */
export async function makePhoto(
  width: number,
  height: number,
  seed = Math.floor(Math.random() * 1e9),
): Promise<Buffer> {
  const raw = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3;
      raw[at] = (x * 255) / width;
      raw[at + 1] = (y * 255) / height;
      raw[at + 2] = (x * y + seed) % 256;
    }
  }
  return await sharp(raw, { raw: { width, height, channels: 3 } })
    .jpeg()
    .toBuffer();
}
