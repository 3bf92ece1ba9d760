import assert from "node:assert/strict";
import { after, test } from "node:test";
import sharp from "sharp";
import { makeApng, plainPng } from "./support/apng_file.ts";
import {
  animation,
  BLUE,
  type Colour,
  colourAt,
  corners,
  GREEN,
  nameAt,
  plain,
  RED,
  WHITE,
} from "./support/pictures.ts";
import { openStudio } from "./support/studio.ts";

const { place, probe, renderFile, make } = await openStudio({ after });

const COLOURS = [RED, GREEN, BLUE, WHITE];
const DELAYS = [100, 200, 300, 400];
const ANIMATED = { animated: true } as const;

const opaque = (side: number, colour: Colour) => plainPng(side, side, { ...colour, alpha: 1 });

async function apng(options: { plays?: number; poster?: Buffer } = {}): Promise<Buffer> {
  const frames = COLOURS.map(async (colour, index) => ({
    png: await opaque(200, colour),
    delayMs: DELAYS[index] ?? 0,
  }));
  return makeApng(await Promise.all(frames), options);
}

const SOURCES = {
  GIF: () => animation("gif", COLOURS, { loop: 3, delay: DELAYS }),
  WebP: () => animation("webp", COLOURS, { loop: 3, delay: DELAYS }),
  APNG: () => apng({ plays: 3 }),
};

for (const [name, source] of Object.entries(SOURCES)) {
  test(`render makes an animated WebP of an animated ${name}, with its timing (141)`, async () => {
    const made = await make(await source(), ANIMATED);
    assert.deepEqual([made.type, made.animated, made.width, made.height], ["image/webp", true, 96, 96]);
    const { pages, loop, delay, width, pageHeight } = await sharp(made.bytes, { animated: true }).metadata();
    assert.deepEqual([pages, loop, delay, width, pageHeight], [4, 3, DELAYS, 96, 96]);
    const seen = await Promise.all([0, 1, 2, 3].map((page) => nameAt(made.bytes, 0.5, 0.5, page)));
    assert.deepEqual(seen, ["red", "green", "blue", "white"]);
  });

  test(`render makes a still of an animated ${name} where that was asked for (139)`, async () => {
    // Also as large as the source, which moves and must not be given back.
    for (const side of [96, 200]) {
      const made = await make(await source(), { width: side, height: side });
      assert.deepEqual([made.type, made.animated], ["image/jpeg", false]);
      assert.equal((await sharp(made.bytes).metadata()).pages, undefined);
    }
  });

  test(`render takes the frame of an animated ${name} that was asked for`, async () => {
    const shares = {
      "0": "red",
      "0.25": "green",
      "0.5": "blue",
      "0.9": "white",
      "1": "white",
      "7": "white",
      "-1": "red",
    };
    for (const [share, expected] of Object.entries(shares)) {
      const made = await make(await source(), { stillFrame: Number(share) });
      assert.equal(await nameAt(made.bytes, 0.5, 0.5), expected, share);
    }
  });

  test(`render gives a small animated ${name} back as it is only where it may move`, async () => {
    const path = await place(await source());
    const size = { width: 200, height: 200 };
    const { rendered } = await renderFile(path, { ...size, ...ANIMATED });
    const type = `image/${name.toLowerCase()}`;
    assert.deepEqual(rendered, { kind: "original_fits", type, ...size, animated: true });
    const tooHeavy = await renderFile(path, { ...size, ...ANIMATED, allowAnimated: false });
    assert.deepEqual([tooHeavy.rendered.kind, tooHeavy.rendered.animated], ["image", false]);
  });

  test(`probe counts the frames of an animated ${name}`, async () => {
    const info = await probe(await place(await source()));
    assert.deepEqual([info?.frames, info?.animated, info?.width, info?.height], [4, true, 200, 200]);
  });
}

test("render makes a still of what cannot move, whatever was asked for (142)", async () => {
  const made = await make(await corners(300, 300).jpeg().toBuffer(), ANIMATED);
  assert.deepEqual([made.type, made.animated], ["image/jpeg", false]);
});

test("render shows the first picture of an animation that is too long", async (t) => {
  const { make } = await openStudio(t, { maxPixels: 50_000 });
  for (const source of Object.values(SOURCES)) {
    const made = await make(await source(), ANIMATED);
    assert.equal(made.animated, false);
    assert.equal(await nameAt(made.bytes, 0.5, 0.5), "red");
  }
});

test("render keeps what is transparent in an animation", async () => {
  const glass = { r: 0, g: 0, b: 0, alpha: 0 };
  const frames = [await plainPng(200, 200, glass), await opaque(200, BLUE)].map((png) => ({ png }));
  for (const source of [makeApng(frames), await animation("webp", [glass, BLUE])]) {
    const made = await make(source, ANIMATED);
    assert.equal((await colourAt(made.bytes, 0.5, 0.5, 0)).alpha, 0);
    assert.equal(await nameAt(made.bytes, 0.5, 0.5, 1), "blue");
  }
});

test("render composes the frames of an APNG: places, disposal, blending", async () => {
  const veil = await plainPng(100, 100, { ...WHITE, alpha: 0.5 });
  const made = await make(
    makeApng([
      { png: await opaque(200, RED) },
      { png: await opaque(100, GREEN), x: 100, disposal: 1 },
      { png: await opaque(100, BLUE), y: 100, disposal: 2 },
      { png: veil, over: true },
    ]),
    ANIMATED,
  );
  const at = async (page: number) => await Promise.all(QUARTERS.map(([x, y]) => seenAt(made.bytes, x, y, page)));
  assert.deepEqual(await at(0), ["red", "red", "red", "red"]);
  assert.deepEqual(await at(1), ["red", "green", "red", "red"]);
  assert.deepEqual(await at(2), ["red", "nothing", "blue", "red"]);
  assert.deepEqual(await at(3), ["pink", "nothing", "red", "red"]);
});

const QUARTERS = [
  [0.25, 0.25],
  [0.75, 0.25],
  [0.25, 0.75],
  [0.75, 0.75],
] as const;

async function seenAt(picture: Buffer, x: number, y: number, page: number): Promise<string> {
  const { r, g, b, alpha = 1 } = await colourAt(picture, x, y, page);
  if (alpha < 0.05) return "nothing";
  return r > 230 && Math.abs(g - 128) < 25 && Math.abs(b - 128) < 25 ? "pink" : await nameAt(picture, x, y, page);
}

test("render leaves the poster of an APNG out of the animation, and shows it where the animation is not understood", async () => {
  const poster = await opaque(200, WHITE);
  const moving = await make(await apng({ poster }), ANIMATED);
  assert.equal((await sharp(moving.bytes, { animated: true }).metadata()).pages, 4);
  assert.equal(await nameAt(moving.bytes, 0.5, 0.5, 0), "red");
  // A frame that hangs over the edge makes the whole animation void.
  const broken = makeApng([{ png: await opaque(200, RED), x: 1 }, { png: await opaque(200, RED) }], { poster });
  for (const order of [ANIMATED, { stillFrame: 1 }]) {
    const made = await make(broken, order);
    assert.equal(made.animated, false);
    assert.equal(await nameAt(made.bytes, 0.5, 0.5), "white");
  }
});

test("render takes APNGs of palettes, of 16 bit and of grey", async () => {
  const kinds = {
    palette: await plain(200, 200, BLUE).png({ palette: true }).toBuffer(),
    wide: await plain(200, 200, BLUE).toColourspace("rgb16").png().toBuffer(),
    grey: await plain(200, 200, WHITE).toColourspace("b-w").png().toBuffer(),
  };
  for (const [kind, png] of Object.entries(kinds)) {
    const made = await make(makeApng([{ png, disposal: 1 }, { png }]), { stillFrame: 1 });
    assert.equal(await nameAt(made.bytes, 0.5, 0.5), kind === "grey" ? "white" : "blue");
  }
});
