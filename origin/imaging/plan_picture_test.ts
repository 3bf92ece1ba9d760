import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageInfo } from "./picture.ts";
import { type PictureRequest, planPicture } from "./plan_picture.ts";

const MAX_PIXELS = 1_000_000;

function info(changes: Partial<ImageInfo> = {}): ImageInfo {
  const { width = 640, height = 480, frames = 1 } = changes;
  const base = { format: "jpeg", hasAlpha: false, asStored: true, interlaced: false, depthBytes: 1 } as const;
  return { ...base, width, height, pixels: width * height, frames, animated: frames > 1, ...changes };
}

function request(spec: Partial<PictureRequest["spec"]> = {}, changes: Partial<PictureRequest> = {}): PictureRequest {
  const base = { width: 320, height: 240, method: "scale", animated: false, format: "auto" } as const;
  return { spec: { ...base, ...spec }, stillFrame: 0.5, allowAnimated: true, ...changes };
}

function picture(of: ImageInfo, wanted: PictureRequest) {
  const plan = planPicture(of, wanted, MAX_PIXELS);
  assert.ok(plan.kind === "draw");
  return plan.picture;
}

test("planPicture draws a still at the size that was asked for", () => {
  assert.deepEqual(picture(info(), request()), {
    format: "jpeg",
    width: 320,
    height: 240,
    animate: false,
    frame: 0,
    encode: "auto",
    maxPixels: MAX_PIXELS,
  });
});

test("planPicture refuses more pixels than allowed, also those that only the canvas claims", () => {
  const tooLarge = { kind: "too_large" };
  assert.throws(() => planPicture(info({ width: 1001, height: 1000 }), request(), MAX_PIXELS), tooLarge);
  assert.throws(() => planPicture(info({ pixels: MAX_PIXELS + 1 }), request(), MAX_PIXELS), tooLarge);
  assert.equal(planPicture(info({ width: 1000, height: 1000 }), request(), MAX_PIXELS).kind, "draw");
});

const SMALL = { width: 320, height: 200 };

test("planPicture keeps an original that fits, where browsers show it by themselves", () => {
  const kept = { kind: "original_fits", type: "image/jpeg", ...SMALL, animated: false };
  assert.deepEqual(planPicture(info(SMALL), request(), MAX_PIXELS), kept);
  for (const format of ["avif", "tiff", "svg"] as const) {
    assert.equal(planPicture(info({ ...SMALL, format }), request(), MAX_PIXELS).kind, "draw");
  }
  assert.equal(planPicture(info({ ...SMALL, asStored: false }), request(), MAX_PIXELS).kind, "draw");
  assert.equal(planPicture(info(SMALL), request({ method: "crop" }), MAX_PIXELS).kind, "draw");
});

test("planPicture keeps an animated original only for those who want it moving", () => {
  const moving = info({ ...SMALL, format: "gif", frames: 5 });
  assert.equal(planPicture(moving, request(), MAX_PIXELS).kind, "draw");
  assert.equal(planPicture(moving, request({ animated: true }, { allowAnimated: false }), MAX_PIXELS).kind, "draw");
  assert.equal(planPicture(moving, request({ animated: true }), MAX_PIXELS).kind, "original_fits");
  const still = info({ ...SMALL, format: "gif" });
  assert.equal(planPicture(still, request({ animated: true }), MAX_PIXELS).kind, "original_fits");
});

test("planPicture animates up to 900 frames and twice the pixels of one picture", () => {
  const wanted = request({ animated: true, width: 10, height: 10 });
  const gif = (side: number, frames: number) =>
    picture(info({ format: "gif", width: side, height: side, frames }), wanted);
  assert.deepEqual([gif(100, 200).animate, gif(100, 200).maxPixels], [true, 2 * MAX_PIXELS]);
  assert.deepEqual([gif(100, 201).animate, gif(100, 201).maxPixels], [false, MAX_PIXELS]);
  assert.equal(gif(20, 900).animate, true);
  assert.equal(gif(20, 901).animate, false);
});

test("planPicture picks the frame that stands for an animation, and the first of one that is too long", () => {
  const frame = (stillFrame: number, frames: number) =>
    picture(info({ format: "gif", frames }), request({}, { stillFrame })).frame;
  assert.deepEqual(
    [0, 0.5, 0.99, 1, 2, -3].map((share) => frame(share, 3)),
    [0, 1, 2, 2, 2, 0],
  );
  assert.equal(frame(0.5, 7), 0);
});

test("planPicture makes WebP where asked for, unless a side is longer than WebP can have", () => {
  assert.equal(picture(info(), request({ format: "webp" })).encode, "webp");
  const strip = info({ width: 20_000, height: 40, format: "gif", frames: 2, asStored: false });
  const plan = picture(strip, request({ format: "webp", animated: true, width: 20_000, height: 30 }));
  assert.deepEqual([plan.encode, plan.animate], ["auto", false]);
});
