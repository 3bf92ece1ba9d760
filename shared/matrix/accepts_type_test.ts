import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuMsOf } from "../../test/support/cpu_time.ts";
import { acceptsByName } from "./accepts_type.ts";

test("acceptsByName() wants the type named, in any case, at any place, with any weight but none", () => {
  const yes = [
    "image/webp",
    "IMAGE/WebP",
    "image/avif,image/webp,image/apng,*/*;q=0.8",
    "text/html, image/webp;q=0.1",
    "image/webp; q=1.000",
    "image/webp;q=0.001",
  ];
  for (const accept of yes) assert.equal(acceptsByName(accept, "image/webp"), true, accept);
  const no = ["", "*/*", "image/*", "image/webpx", "ximage/webp", "image/webp;q=0", "image/webp ; Q=0.00", "image/png"];
  for (const accept of no) assert.equal(acceptsByName(accept, "image/webp"), false, accept);
  assert.equal(acceptsByName(undefined, "image/webp"), false);
  assert.equal(acceptsByName(null, "image/webp"), false);
});

test("acceptsByName() takes no time over a hostile header", () => {
  const tookMs = cpuMsOf(() => {
    acceptsByName(`image/webp;${" q=0".repeat(20_000)}`, "image/webp");
    acceptsByName(",".repeat(60_000), "image/webp");
  });
  assert.ok(tookMs < 500, `${tookMs} ms`);
});
