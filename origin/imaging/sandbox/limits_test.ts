import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageInfo } from "../picture.ts";
import { estimateMemory } from "./limits.ts";

const MEGAPIXELS = 12_192_768;
const BASE = { width: 4032, height: 3024, pixels: MEGAPIXELS, frames: 1, animated: false, hasAlpha: false } as const;

function estimate(changes: Partial<ImageInfo>, animate = false): number {
  const info: ImageInfo = { ...BASE, format: "jpeg", asStored: true, interlaced: false, depthBytes: 1, ...changes };
  const size = { width: 800, height: 600 };
  const picture = { ...size, format: info.format, animate, frame: 0, encode: "auto", maxPixels: 1e8 } as const;
  return Math.round(estimateMemory(info, picture) / 1e6);
}

/** Peaks that were measured, in megabytes, for 12 megapixels drawn at 800 x 600. */
const MEASURED = [
  [{ format: "jpeg" }, 99],
  [{ format: "jpeg", interlaced: true }, 167],
  [{ format: "png" }, 125],
  [{ format: "png", interlaced: true }, 143],
  [{ format: "png", depthBytes: 2 }, 136],
  [{ format: "webp" }, 146],
  [{ format: "gif" }, 168],
  [{ format: "tiff", depthBytes: 2 }, 138],
  [{ format: "avif" }, 323],
] as const;

for (const [source, peak] of MEASURED) {
  test(`estimateMemory covers what was measured for ${JSON.stringify(source)}, and not twice as much`, () => {
    const estimated = estimate(source);
    // Four megabytes: by so much the same picture differs between two runs.
    assert.ok(estimated >= peak - 4 && estimated < 2 * peak, `${estimated} MB`);
  });
}

test("estimateMemory counts the frames of an animation that is drawn as one", () => {
  const small = { width: 800, height: 600, pixels: 480_000, format: "gif", frames: 200 } as const;
  assert.ok(estimate(small, true) > 5 * estimate(small));
});
