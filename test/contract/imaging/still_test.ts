import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, test } from "node:test";
import sharp from "sharp";
import { BLUE, colourAt, corners, isClose, nameAt, plain, RED, WHITE } from "./support/pictures.ts";
import { openStudio } from "./support/studio.ts";

const studio = await openStudio({ after });
const { folder, place, renderFile, make } = studio;

const METADATA = { exif: { IFD0: { Copyright: "somebody" }, IFD3: { GPSLatitude: "51/1 30/1 0/1" } } };

test("render says what it wrote", async () => {
  const made = await make(await corners(400, 300).jpeg().toBuffer(), { width: 320, height: 240, method: "scale" });
  assert.equal(made.size, made.bytes.length);
  assert.equal(made.sha256, createHash("sha256").update(made.bytes).digest("hex"));
  const { format, width, height } = await sharp(made.bytes).metadata();
  assert.deepEqual([format, width, height], ["jpeg", made.width, made.height]);
});

const STANDARD = [
  { width: 32, height: 32, method: "crop", made: [32, 32] },
  { width: 96, height: 96, method: "crop", made: [96, 96] },
  { width: 320, height: 240, method: "scale", made: [427, 240] },
  { width: 640, height: 480, method: "scale", made: [853, 480] },
  { width: 800, height: 600, method: "scale", made: [1067, 600] },
] as const;

test("render makes the five sizes of the specification, never smaller than asked (130, 134)", async () => {
  const source = await corners(1600, 900).jpeg().toBuffer();
  for (const { made: expected, ...size } of STANDARD) {
    const made = await make(source, size);
    assert.deepEqual([made.width, made.height], expected);
    const { width, height } = await sharp(made.bytes).metadata();
    assert.deepEqual([width, height], expected);
  }
});

test("render never makes a picture larger than its source (129)", async () => {
  const source = await corners(60, 40).tiff().toBuffer();
  const scaled = await make(source, { width: 800, height: 600, method: "scale" });
  assert.deepEqual([scaled.width, scaled.height], [60, 40]);
  const cropped = await make(source, { width: 800, height: 800 });
  assert.deepEqual([cropped.width, cropped.height], [40, 40]);
});

for (const format of ["jpeg", "png", "webp", "gif"] as const) {
  test(`render gives a small ${format} back as it is (131)`, async () => {
    const { rendered } = await renderFile(await place(await plain(60, 40).toFormat(format).toBuffer()), {
      method: "scale",
    });
    const kept = { kind: "original_fits", type: `image/${format}`, width: 60, height: 40, animated: false };
    assert.deepEqual(rendered, kept);
  });
}

test("render keeps the middle when it crops", async () => {
  const wide = plain(600, 200, WHITE).composite([
    { input: await plain(200, 200, BLUE).png().toBuffer(), left: 200, top: 0 },
  ]);
  const made = await make(await wide.png().toBuffer());
  for (const [x, y] of [
    [0.05, 0.05],
    [0.95, 0.95],
  ] as const)
    assert.equal(await nameAt(made.bytes, x, y), "blue");
});

/** Where the corners of the stored picture are seen (EXIF 2.32 §4.6.4): above left and right, below left and right. */
const ORIENTATIONS: readonly (readonly [number, string])[] = [
  [1, "red green blue white"],
  [2, "green red white blue"],
  [3, "white blue green red"],
  [4, "blue white red green"],
  [5, "red blue green white"],
  [6, "blue red white green"],
  [7, "white green blue red"],
  [8, "green white red blue"],
];

for (const [orientation, expected] of ORIENTATIONS) {
  test(`render sets a picture of EXIF orientation ${orientation} upright`, async () => {
    const source = await corners(400, 200).withMetadata({ orientation }).jpeg().toBuffer();
    const size = orientation < 5 ? [400, 200] : [200, 400];
    const info = await studio.probe(await place(source));
    assert.deepEqual([info?.width, info?.height, info?.asStored], [...size, orientation === 1]);
    // The second is as large as the source, which must not be given back as it is.
    for (const side of orientation === 1 ? [100] : [100, 400]) {
      const made = await make(source, { width: side, height: side, method: "scale" });
      assert.deepEqual(
        [made.width, made.height],
        size.map((length) => (length * side) / (side === 100 ? 200 : 400)),
      );
      const seen = await Promise.all(SPOTS.map(([x, y]) => nameAt(made.bytes, x, y)));
      assert.equal(seen.join(" "), expected);
      assert.equal((await sharp(made.bytes).metadata()).orientation, undefined);
    }
  });
}

const SPOTS = [
  [0.2, 0.2],
  [0.8, 0.2],
  [0.2, 0.8],
  [0.8, 0.8],
] as const;

const ALPHA = { png: {}, webp: {}, avif: {}, tiff: { compression: "lzw" } } as const;

for (const format of ["png", "webp", "avif", "tiff"] as const) {
  test(`render keeps what is transparent in ${format}, as PNG`, async () => {
    const source = plain(300, 300, { ...RED, alpha: 0 }).composite([
      { input: await plain(300, 150, BLUE).png().toBuffer(), top: 0, left: 0 },
    ]);
    const made = await make(await source.toFormat(format, ALPHA[format]).toBuffer());
    assert.equal(made.type, "image/png");
    assert.equal((await colourAt(made.bytes, 0.5, 0.9)).alpha, 0);
    assert.equal(await nameAt(made.bytes, 0.5, 0.1), "blue");
  });
}

test("render makes JPEG of what has alpha but nothing transparent", async () => {
  const made = await make(
    await plain(300, 300, { ...BLUE, alpha: 1 })
      .png()
      .toBuffer(),
  );
  assert.equal(made.type, "image/jpeg");
  assert.equal(await nameAt(made.bytes, 0.5, 0.5), "blue");
});

test("render makes WebP where that was asked for", async () => {
  const made = await make(
    await plain(300, 300, { ...BLUE, alpha: 0.5 })
      .png()
      .toBuffer(),
    { format: "webp" },
  );
  assert.equal(made.type, "image/webp");
  const { alpha = 0 } = await colourAt(made.bytes, 0.5, 0.5);
  assert.ok(Math.abs(alpha - 0.5) < 0.02);
});

const COLOURS: readonly (readonly [string, () => Promise<Buffer>])[] = [
  ["CMYK without a profile", () => plain(300, 300, RED).toColourspace("cmyk").jpeg().toBuffer()],
  ["CMYK with a profile", () => plain(300, 300, RED).withIccProfile("cmyk").jpeg().toBuffer()],
  ["a wide colour space", () => plain(300, 300, RED).withIccProfile("p3").png().toBuffer()],
  ["16 bit", () => plain(300, 300, RED).toColourspace("rgb16").png().toBuffer()],
  ["a palette", () => plain(300, 300, RED).png({ palette: true }).toBuffer()],
  ["AVIF", () => plain(300, 300, RED).avif().toBuffer()],
];

for (const [name, source] of COLOURS) {
  test(`render shows the colours of ${name} as they are`, async () => {
    const made = await make(await source());
    // Ink is not as red as light.
    const seen = await colourAt(made.bytes, 0.5, 0.5);
    assert.ok(isClose(seen, RED, name.startsWith("CMYK") ? 60 : 12), JSON.stringify(seen));
    const { space, depth, icc } = await sharp(made.bytes).metadata();
    assert.deepEqual([space, depth, icc], ["srgb", "uchar", undefined]);
  });
}

test("render shows grey of 16 bit as it is", async () => {
  const grey = { r: 128, g: 128, b: 128 };
  const made = await make(await plain(300, 300, grey).toColourspace("grey16").png().toBuffer());
  assert.ok(isClose(await colourAt(made.bytes, 0.5, 0.5), grey, 3));
});

test("render leaves all metadata behind", async () => {
  const source = plain(300, 300)
    .withExif(METADATA.exif)
    .withXmp("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    .withIccProfile("p3");
  for (const made of [
    await make(await source.jpeg().toBuffer()),
    await make(await source.webp().toBuffer(), { format: "webp" }),
  ]) {
    const { exif, xmp, icc, iptc, orientation } = await sharp(made.bytes).metadata();
    assert.deepEqual([exif, xmp, icc, iptc, orientation], [undefined, undefined, undefined, undefined, undefined]);
    assert.ok(!made.bytes.includes("somebody"));
  }
});

test("render draws SVG as PNG, without what it names beside it", async () => {
  const neighbour = await place(await plain(300, 300, RED).png().toBuffer());
  const name = neighbour.slice(folder.length + 1);
  const image = (href: string) => `<image href="${href}" width="300" height="300"/>`;
  const made = await make(
    `<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300">${image(name)}${image(neighbour)}${image(`file://${neighbour}`)}<circle cx="10" cy="10" r="5"/></svg>`,
  );
  assert.equal(made.type, "image/png");
  assert.equal((await colourAt(made.bytes, 0.5, 0.5)).alpha, 0);
});

test("probe says what a picture is, without decoding it", async () => {
  const probe = async (bytes: Uint8Array | string) => await studio.probe(await place(bytes));
  const header = {
    frames: 1,
    animated: false,
    hasAlpha: false,
    asStored: true,
    pixels: 600,
    interlaced: false,
    depthBytes: 1,
  };
  const size = { width: 30, height: 20 };
  assert.deepEqual(await probe(await plain(30, 20).jpeg().toBuffer()), { format: "jpeg", ...size, ...header });
  assert.deepEqual(await probe(await plain(30, 20).avif().toBuffer()), { format: "avif", ...size, ...header });
  const interlaced = await plain(30, 20, { ...RED, alpha: 0.5 })
    .toColourspace("rgb16")
    .png({ progressive: true })
    .toBuffer();
  const rich = { hasAlpha: true, interlaced: true, depthBytes: 2 };
  assert.deepEqual(await probe(interlaced), { format: "png", ...size, ...header, ...rich });
  assert.equal(await probe("just some text"), undefined);
  assert.equal(await probe((await plain(30, 20).jpeg().toBuffer()).subarray(0, 30)), undefined);
});

test("render draws an SVG that begins with a long comment, or whose root has a prefix", async () => {
  const licence = `<!-- ${"licence ".repeat(2000)} -->`;
  const drawings = [
    `<?xml version="1.0"?>\n${licence}\n<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><rect width="300" height="200" fill="blue"/></svg>`,
    '<s:svg xmlns:s="http://www.w3.org/2000/svg" width="300" height="200"><s:rect width="300" height="200" fill="blue"/></s:svg>',
  ];
  for (const drawing of drawings) assert.equal(await nameAt((await make(drawing)).bytes, 0.5, 0.5), "blue");
});
