import assert from "node:assert/strict";
import { test } from "node:test";
import sharp from "sharp";
import { parseApng } from "../../../origin/imaging/sources/apng/apng.ts";
import { makePngChunk } from "../../../origin/imaging/sources/apng/png_chunks.ts";
import { makeApng, plainPng } from "./support/apng_file.ts";
import { BLUE, GREEN, nameAt, RED } from "./support/pictures.ts";

const ALL = Number.POSITIVE_INFINITY;
const dot = (width: number, height: number, colour = RED) => plainPng(width, height, { ...colour, alpha: 1 });

test("parseApng reads the frames: places, delays, disposal, blending", async () => {
  const file = makeApng(
    [
      { png: await dot(8, 6), delayMs: 40 },
      { png: await dot(3, 2, GREEN), x: 5, y: 4, delayMs: 70_000, disposal: 1, over: true },
      { png: await dot(1, 1, BLUE), disposal: 2 },
    ],
    { plays: 7 },
  );
  const apng = parseApng(file, ALL);
  assert.deepEqual([apng?.width, apng?.height, apng?.plays], [8, 6, 7]);
  const frames = apng?.frames.map(({ data, ...frame }) => frame);
  assert.deepEqual(frames, [
    { x: 0, y: 0, width: 8, height: 6, delayMs: 40, disposal: "keep", over: false },
    // As long as the encoder can say.
    { x: 5, y: 4, width: 3, height: 2, delayMs: 65_535, disposal: "clear", over: true },
    { x: 0, y: 0, width: 1, height: 1, delayMs: 50, disposal: "restore", over: false },
  ]);
});

test("parseApng gives each frame as a PNG that any decoder takes", async () => {
  const apng = parseApng(makeApng([{ png: await dot(8, 6) }, { png: await dot(3, 2, GREEN) }]), ALL);
  assert.ok(apng);
  const pngs = apng.frames.map((frame) => apng.toPng(frame));
  const sizes = await Promise.all(pngs.map(async (png) => await sharp(png).metadata()));
  assert.deepEqual(
    sizes.map(({ width, height }) => [width, height]),
    [
      [8, 6],
      [3, 2],
    ],
  );
  assert.deepEqual(await Promise.all(pngs.map((png) => nameAt(png, 0, 0))), ["red", "green"]);
});

test("parseApng stops at the number of frames that was asked for", async () => {
  const png = await dot(8, 6);
  assert.equal(parseApng(makeApng([{ png }, { png }, { png }]), 2)?.frames.length, 2);
});

test("parseApng leaves out a poster, which has no control chunk before it", async () => {
  const file = makeApng([{ png: await dot(8, 6) }, { png: await dot(8, 6) }], { poster: await dot(8, 6, BLUE) });
  assert.equal(parseApng(file, ALL)?.frames.length, 2);
});

test("parseApng takes what is there of a file that breaks off", async () => {
  const file = makeApng([{ png: await dot(8, 6) }, { png: await dot(8, 6) }, { png: await dot(8, 6) }]);
  assert.equal(parseApng(file.subarray(0, file.length - 30), ALL)?.frames.length, 2);
});

test("parseApng refuses what is no animation, or a broken one", async () => {
  const png = await dot(8, 6);
  const wide = await dot(9, 6);
  const pieces: Record<string, Buffer> = {
    "a plain PNG": png,
    "no frames": makeApng([], { poster: png }),
    "a frame over the right edge": makeApng([{ png }, { png, x: 1 }]),
    "a frame over the lower edge": makeApng([{ png }, { png, y: 0xffffffff }]),
    "a frame larger than the canvas": makeApng([{ png }, { png: wide }]),
    "a signature alone": png.subarray(0, 8),
    "an endless chunk": Buffer.concat([png.subarray(0, 8), Buffer.from("ffffffff6163544c", "hex")]),
    "a short header": Buffer.concat([
      png.subarray(0, 8),
      makePngChunk("IHDR", Buffer.alloc(4)),
      makePngChunk("acTL", Buffer.alloc(8)),
    ]),
  };
  for (const [name, file] of Object.entries(pieces)) assert.equal(parseApng(file, ALL), undefined, name);
});
