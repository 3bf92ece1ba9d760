import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cpuMsOf } from "../../test/support/cpu_time.ts";
import { MatrixError } from "./matrix_error.ts";
import {
  outputSize,
  parseThumbnailQuery,
  pickThumbnail,
  type ThumbnailMethod,
  type ThumbnailPolicy,
  thumbnailSuffix,
} from "./thumbnail_size.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const standard: [number, number, ThumbnailMethod][] = vectors.thumbnail_sizes.sizes;
const policy: ThumbnailPolicy = {
  sizes: standard.map(([width, height]) => ({ width, height })),
  dynamicSizing: false,
  defaultAnimated: false,
  allowAnimated: true,
};
const parse = (query: string) => parseThumbnailQuery(new URLSearchParams(query));
const pick = (width: number, height: number, method: ThumbnailMethod, with_: Partial<ThumbnailPolicy> = {}) => {
  const spec = pickThumbnail({ width, height, method, animated: undefined }, { ...policy, ...with_ });
  return [spec.width, spec.height];
};
const out = (box: [number, number], method: ThumbnailMethod, source: [number, number]) => {
  const size = outputSize({ width: box[0], height: box[1], method }, { width: source[0], height: source[1] });
  return [size.width, size.height];
};
const SIDES = [1, 2, 31, 32, 33, 96, 97, 240, 319, 320, 640, 799, 801, 1600, 5000, 16_384];

test("a query is read, with scale and no opinion on animation as defaults", () => {
  assert.deepEqual(parse("width=320&height=240"), { width: 320, height: 240, method: "scale", animated: undefined });
  assert.equal(parse("width=1&height=16384&method=crop").method, "crop");
  assert.equal(parse("width=1&height=1&animated=true").animated, true);
  assert.equal(parse("width=1&height=1&animated=0").animated, false);
  assert.equal(parse("width=1&height=1&org.matrix.msc2705.animated=true").animated, true);
  assert.equal(parse("width=1&height=1&animated=false&org.matrix.msc2705.animated=true").animated, false);
});

test("absent sides are M_MISSING_PARAM, nonsense sides M_UNKNOWN, other nonsense M_INVALID_PARAM, all 400", () => {
  const code = (errcode: string) => (error: unknown) =>
    error instanceof MatrixError && error.errcode === errcode && error.status === 400;
  for (const query of ["", "width=1", "height=1", "width=&height=1"]) {
    assert.throws(() => parse(query), code("M_MISSING_PARAM"), query);
  }
  for (const side of ["0", "-1", "1.5", "1e3", "0x10", "abc", "16385", "999999", " 1 2", "+1", "NaN", "٣"]) {
    const query = new URLSearchParams({ width: side, height: "1" });
    assert.throws(() => parseThumbnailQuery(query), code("M_UNKNOWN"), side);
  }
  for (const rest of ["method=fill", "method=CROP", "animated=yes", "animated=toString"]) {
    assert.throws(() => parse(`width=1&height=1&${rest}`), code("M_INVALID_PARAM"), rest);
  }
});

test("the specification's sizes are made as they are", () => {
  for (const [width, height, method] of standard) assert.deepEqual(pick(width, height, method), [width, height]);
});

test("the smallest size that covers the request is picked, in whatever order they are configured", () => {
  const sizes = policy.sizes.toReversed();
  for (const with_ of [{}, { sizes }]) {
    assert.deepEqual(pick(1, 1, "scale", with_), [32, 32]);
    assert.deepEqual(pick(33, 10, "scale", with_), [96, 96]);
    assert.deepEqual(pick(97, 97, "scale", with_), [320, 240]);
    assert.deepEqual(pick(800, 1, "scale", with_), [800, 600]);
  }
});

test("a request beyond all sizes doubles the largest until it covers", () => {
  assert.deepEqual(pick(801, 600, "scale"), [1600, 1200]);
  assert.deepEqual(pick(2000, 2000, "scale"), [3200, 2400]);
  assert.deepEqual(pick(16_384, 16_384, "scale"), [16_384, 16_384]);
  assert.deepEqual(pick(50, 1, "scale", { sizes: [{ width: 1, height: 1 }] }), [64, 64]);
});

test("without sizes the specification's are taken", () => {
  assert.deepEqual(pick(40, 40, "scale", { sizes: [] }), [96, 96]);
});

test("a crop is cut down to the asked aspect ratio", () => {
  assert.deepEqual(pick(64, 64, "crop"), [96, 96]);
  assert.deepEqual(pick(100, 50, "crop"), [320, 160]);
  assert.deepEqual(pick(50, 100, "crop"), [120, 240]);
  assert.deepEqual(pick(300, 300, "crop"), [480, 480]);
});

test("dynamic sizing makes exactly what is asked for", () => {
  assert.deepEqual(pick(123, 45, "crop", { dynamicSizing: true }), [123, 45]);
  assert.deepEqual(pick(5000, 5000, "scale", { dynamicSizing: true }), [5000, 5000]);
});

test("nothing picked is ever smaller than the request, and a crop has its aspect ratio to the pixel", () => {
  for (const width of SIDES) {
    for (const height of SIDES) {
      for (const method of ["crop", "scale"] as const) {
        const [w = 0, h = 0] = pick(width, height, method);
        assert.ok(w >= width && h >= height, `${method} ${width}x${height}: ${w}x${h}`);
        if (method === "crop") assert.ok(Math.abs(w * height - h * width) <= Math.max(width, height));
      }
    }
  }
});

test("the keys of a media are bounded: a handful of scales, and crops not over a size's sides together", () => {
  const scales = new Set<string>();
  const crops = new Set<string>();
  for (let width = 1; width <= 320; width += 3) {
    for (let height = 1; height <= 240; height += 3) {
      scales.add(String(pick(width, height, "scale")));
      crops.add(String(pick(width, height, "crop")));
    }
  }
  assert.equal(scales.size, 3);
  assert.ok(crops.size <= 32 + 32 + 96 + 96 + 320 + 240);
});

test("animation is what the client says, else what the configuration says, and never where it is forbidden", () => {
  const animated = (asked: boolean | undefined, defaultAnimated: boolean, allowAnimated: boolean) =>
    pickThumbnail(
      { width: 1, height: 1, method: "crop", animated: asked },
      { ...policy, defaultAnimated, allowAnimated },
    ).animated;
  assert.equal(animated(true, false, true), true);
  assert.equal(animated(false, true, true), false);
  assert.equal(animated(undefined, true, true), true);
  assert.equal(animated(undefined, false, true), false);
  assert.equal(animated(true, true, false), false);
});

test("WebP is picked for those who ask for it by name, where the policy prefers it, under a key of its own", () => {
  const request = { width: 32, height: 32, method: "crop", animated: undefined } as const;
  const browser = "image/avif,image/webp,*/*;q=0.8";
  const suffix = (preferWebp: boolean | undefined, accept?: string) =>
    thumbnailSuffix(pickThumbnail(request, { ...policy, preferWebp }, accept));
  assert.equal(suffix(true, browser), "32x32-crop-webp");
  assert.equal(suffix(true, "image/webp"), "32x32-crop-webp");
  for (const accept of [undefined, "", "*/*", "image/webp;q=0"]) assert.equal(suffix(true, accept), "32x32-crop");
  for (const preferWebp of [false, undefined]) assert.equal(suffix(preferWebp, browser), "32x32-crop");
});

test("scale covers the box and keeps the source's aspect ratio", () => {
  assert.deepEqual(out([320, 240], "scale", [4000, 3000]), [320, 240]);
  assert.deepEqual(out([320, 240], "scale", [4000, 1000]), [960, 240]);
  assert.deepEqual(out([320, 240], "scale", [1000, 4000]), [320, 1280]);
  assert.deepEqual(out([96, 96], "scale", [4032, 3024]), [128, 96]);
});

test("crop has the asked aspect ratio, from a small source the largest cut of it", () => {
  assert.deepEqual(out([96, 96], "crop", [4000, 3000]), [96, 96]);
  assert.deepEqual(out([96, 96], "crop", [1000, 50]), [50, 50]);
  assert.deepEqual(out([320, 160], "crop", [100, 100]), [100, 50]);
});

test("a small source is not enlarged", () => {
  assert.deepEqual(out([320, 240], "scale", [100, 80]), [100, 80]);
  assert.deepEqual(out([320, 240], "scale", [1000, 80]), [1000, 80]);
  assert.deepEqual(out([32, 32], "crop", [1, 1]), [1, 1]);
});

test("no picture is larger than its source, or smaller than the box where the source is not", () => {
  for (const w of SIDES) {
    for (const h of SIDES) {
      const scaled = out([320, 240], "scale", [w, h]);
      assert.ok((scaled[0] ?? 0) <= w && (scaled[1] ?? 0) <= h);
      assert.ok((scaled[0] ?? 0) >= Math.min(320, w) && (scaled[1] ?? 0) >= Math.min(240, h));
      const cropped = out([320, 240], "crop", [w, h]);
      assert.ok((cropped[0] ?? 0) <= Math.min(320, w) && (cropped[1] ?? 0) <= Math.min(240, h));
      assert.ok((cropped[0] ?? 0) >= 1 && (cropped[1] ?? 0) >= 1);
    }
  }
});

test("every difference between thumbnails shows in the suffix", () => {
  const base = { width: 320, height: 240, method: "scale", animated: false, format: "auto" } as const;
  assert.equal(thumbnailSuffix(base), "320x240-scale");
  assert.equal(thumbnailSuffix({ ...base, method: "crop", animated: true }), "320x240-crop-animated");
  assert.equal(thumbnailSuffix({ ...base, format: "webp" }), "320x240-scale-webp");
  assert.equal(thumbnailSuffix({ ...base, animated: true, format: "webp" }), "320x240-scale-animated-webp");
});

function takesWebp(accept: string | null | undefined): boolean {
  const request = { width: 32, height: 32, method: "scale", animated: undefined } as const;
  const policy = { sizes: [], dynamicSizing: false, defaultAnimated: false, allowAnimated: false, preferWebp: true };
  return pickThumbnail(request, policy, accept).format === "webp";
}

test("WebP is made for who names it, in any case, at any place, with any weight but none", () => {
  const yes = [
    "image/webp",
    "IMAGE/WebP",
    "image/avif,image/webp,image/apng,*/*;q=0.8",
    "text/html, image/webp;q=0.1",
    "image/webp; q=1.000",
    "image/webp;q=0.001",
  ];
  for (const accept of yes) assert.equal(takesWebp(accept), true, accept);
  const no = ["", "*/*", "image/*", "image/webpx", "ximage/webp", "image/webp;q=0", "image/webp ; Q=0.00", "image/png"];
  for (const accept of no) assert.equal(takesWebp(accept), false, accept);
  assert.equal(takesWebp(undefined), false);
  assert.equal(takesWebp(null), false);
});

test("a hostile Accept header takes no time", () => {
  const tookMs = cpuMsOf(() => {
    takesWebp(`image/webp;${" q=0".repeat(20_000)}`);
    takesWebp(",".repeat(60_000));
  });
  assert.ok(tookMs < 500, `${tookMs} ms`);
});
