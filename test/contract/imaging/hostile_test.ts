import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { Failure } from "../../../shared/matrix/failure.ts";
import { makeApng, plainPng } from "./support/apng_file.ts";
import {
  bombPng,
  emptyGif,
  enlargeJpeg,
  enlargeWebp,
  IMPOSTORS,
  largeSvg,
  laughingSvg,
  slowSvg,
} from "./support/hostile_files.ts";
import { corners, plain, RED } from "./support/pictures.ts";
import { openStudio } from "./support/studio.ts";

const NOT_A_PICTURE = { kind: "unreadable", message: "This media cannot be thumbnailed" };
const TOO_LARGE = { kind: "too_large" };
const MEGABYTE = 1_000_000;

/** None of it in our own memory. That it is quick shows in the answer: what takes the decoder too long is another one. */
async function isFlat(work: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage.rss();
  await work();
  assert.ok(process.memoryUsage.rss() - before < 50 * MEGABYTE);
}

const TOO_MANY_PIXELS: Readonly<Record<string, () => Promise<Buffer>>> = {
  "a PNG of 16000 x 16000": async () => bombPng(16_000, 16_000),
  "a PNG of 65536 x 65536": async () => {
    const png = bombPng(65_536, 8);
    png.writeUInt32BE(65_536, 20);
    return png;
  },
  "a GIF with a huge canvas": async () => emptyGif(65_535, 2),
  "a WebP with a huge canvas": async () => enlargeWebp(await plain(10, 10).webp({ lossless: true }).toBuffer()),
  "a JPEG that says it is huge": async () => enlargeJpeg(await plain(16, 16).jpeg().toBuffer()),
  "an SVG of 100000 x 100000": async () =>
    Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="100000" height="100000"/>'),
};

for (const [name, make] of Object.entries(TOO_MANY_PIXELS)) {
  test(`render refuses ${name} by its header (144, 146)`, async (t) => {
    const { place, renderFile, imager } = await openStudio(t);
    const path = await place(await make());
    await imager.warmUp();
    const { pids } = imager;
    await isFlat(() => assert.rejects(renderFile(path), TOO_LARGE));
    await isFlat(() => assert.rejects(renderFile(path, { animated: true }), TOO_LARGE));
    assert.deepEqual(imager.pids, pids, "no decoder was lost");
  });
}

test("render never gives back a GIF whose canvas is larger than its frames", async (t) => {
  const { place, renderFile } = await openStudio(t);
  const { rendered } = await renderFile(await place(emptyGif(3000, 1)), { width: 3000, height: 3000, method: "scale" });
  assert.deepEqual([rendered.kind, rendered.width, rendered.height], ["image", 1, 1]);
});

test("render shows the first picture of a GIF with 100000 frames", async (t) => {
  const { place, renderFile, imager } = await openStudio(t, { timeLimit: { cpuMs: 10_000, wallMs: 40_000 } });
  const path = await place(emptyGif(200, 100_000));
  await imager.warmUp();
  for (const animated of [false, true]) {
    await isFlat(async () => {
      const { rendered } = await renderFile(path, { animated });
      assert.deepEqual([rendered.kind, rendered.animated], ["image", false]);
    });
  }
});

test("render shows the first picture of an APNG with 100000 frames", async (t) => {
  const { place, renderFile, imager } = await openStudio(t, { timeLimit: { cpuMs: 10_000, wallMs: 40_000 } });
  const png = await plainPng(200, 200, { ...RED, alpha: 1 });
  const dot = await plainPng(1, 1, { ...RED, alpha: 1 });
  const path = await place(makeApng([{ png }, ...Array.from({ length: 99_999 }, () => ({ png: dot }))]));
  await imager.warmUp();
  for (const animated of [false, true]) {
    await isFlat(async () => {
      const { rendered } = await renderFile(path, { animated });
      assert.deepEqual([rendered.kind, rendered.animated], ["image", false]);
    });
  }
});

for (const [name, bytes] of Object.entries(IMPOSTORS)) {
  test(`render refuses ${name} without starting a decoder (143, 147)`, async (t) => {
    const { place, renderFile, imager, probe } = await openStudio(t);
    const path = await place(Buffer.from(bytes, "latin1"));
    await assert.rejects(renderFile(path), NOT_A_PICTURE);
    assert.equal(await probe(path), undefined);
    assert.deepEqual(imager.pids, []);
  });
}

const BROKEN: Readonly<Record<string, () => Promise<Buffer | string>>> = {
  "a JPEG that breaks off": async () => half(await corners(800, 600).jpeg().toBuffer()),
  "a PNG that breaks off": async () => half(await corners(800, 600).png({ compressionLevel: 0 }).toBuffer()),
  "a WebP that breaks off": async () => half(await corners(800, 600).webp({ lossless: true }).toBuffer()),
  "an AVIF that breaks off": async () => half(await corners(800, 600).avif().toBuffer()),
  "a header without a picture": async () => (await corners(800, 600).jpeg().toBuffer()).subarray(0, 20),
  "a PNG signature before a PDF": async () => `\x89PNG\r\n\x1a\n${IMPOSTORS["a PDF"]}`,
  "a GIF signature before PostScript": async () => `GIF89a${IMPOSTORS.PostScript}`,
  "entities that explode": async () => laughingSvg(),
  "an SVG that is no XML": async () => "<svg xmlns='http://www.w3.org/2000/svg' width='300' height='300'><g></svg>",
};

function half(picture: Buffer): Buffer {
  return picture.subarray(0, picture.length / 2);
}

for (const [name, make] of Object.entries(BROKEN)) {
  test(`render refuses ${name}, and leaves no output behind`, async (t) => {
    const { folder, place, renderFile, make: draw } = await openStudio(t);
    const path = await place(Buffer.from((await make()) as string, "latin1"));
    await assert.rejects(renderFile(path), NOT_A_PICTURE);
    assert.deepEqual(await readdir(folder), ["source-0"]);
    assert.equal((await draw(await corners(400, 400).jpeg().toBuffer())).kind, "image");
  });
}

test("render draws a picture with damaged pixels as far as it goes", async (t) => {
  const { make } = await openStudio(t);
  const jpeg = await corners(800, 600).jpeg().toBuffer();
  // 0xFF with a byte that is no marker here: the decoder notices, and goes on.
  jpeg.fill(0xa5, jpeg.length - 1200, jpeg.length - 1100);
  assert.equal((await make(jpeg)).kind, "image");
});

test("render ends a decoder that takes too long, and starts another for the next picture (146)", async (t) => {
  const { place, renderFile, make, imager } = await openStudio(t, { timeLimit: { cpuMs: 1_000, wallMs: 60_000 } });
  await imager.warmUp();
  const [slow = -1] = imager.pids;
  const path = await place(slowSvg());
  await isFlat(() => assert.rejects(renderFile(path), NOT_A_PICTURE));
  assert.throws(() => process.kill(slow, 0), { code: "ESRCH" });
  assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
  assert.notEqual(imager.pids[0], slow);
});

const EYES = {
  "seen from outside": { skip: !existsSync("/proc/self/status") && "there is no /proc", options: {} },
  "as it says itself": { skip: false, options: { readProcessUsage: () => undefined } },
};

for (const [name, { skip, options }] of Object.entries(EYES)) {
  test(`render ends a decoder that takes too much memory, ${name} (146)`, { skip }, async (t) => {
    const limits = { maxMemoryBytes: 200 * MEGABYTE, maxPixels: 30_000_000 };
    const { place, renderFile, make, imager } = await openStudio(t, { ...limits, ...options });
    await imager.warmUp();
    const [greedy = -1] = imager.pids;
    const order = { width: 5000, height: 5000, method: "scale" } as const;
    const path = await place(largeSvg(5000));
    await isFlat(() =>
      assert.rejects(renderFile(path, order), (error) => {
        assert.ok(error instanceof Failure);
        assert.match(String(error.cause), /memory/);
        return error.kind === "unreadable";
      }),
    );
    assert.throws(() => process.kill(greedy, 0), { code: "ESRCH" });
    assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
  });
}
