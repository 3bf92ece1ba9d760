import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import sharp from "sharp";
import { ask, jsonOf } from "../../support/http.ts";
import { originForFile, startLone } from "../uploads/stage.ts";

const lone = originForFile();
const PATH = "/_matrix/media/r0/identicon/";
const BACKGROUND = [224, 224, 224];

async function pixelsOf(png: Buffer) {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)];
  return { width: info.width, height: info.height, at };
}

describe("identicon", () => {
  test("is a PNG for anybody, the same each time, to be kept by any cache", async () => {
    const [one, two] = await Promise.all([ask(lone().url, `${PATH}alice`), ask(lone().url, `${PATH}alice`)]);
    assert.equal(one.status, 200);
    assert.equal(one.headers["content-type"], "image/png");
    assert.equal(one.headers["content-length"], String(one.body.byteLength));
    assert.match(one.headers["content-disposition"] ?? "", /^inline;/);
    assert.match(one.headers["cache-control"] ?? "", /^public, max-age=[0-9]+$/);
    assert.equal(one.headers["x-content-type-options"], "nosniff");
    assert.deepEqual(one.body, two.body);
    assert.notDeepEqual((await ask(lone().url, `${PATH}bob`)).body, one.body);
  });

  test("is drawn from the MD5 of the seed without its leading slash: colour, grid of five by five, mirrored", async () => {
    for (const seed of ["alice", "@bob:example.org", "a/b", ""]) {
      const heard = await ask(lone().url, `${PATH}${seed.split("/").map(encodeURIComponent).join("/")}?width=120`);
      const { width, height, at } = await pixelsOf(heard.body);
      assert.deepEqual([width, height], [120, 120]);
      assert.deepEqual(at(0, 0), BACKGROUND);
      assert.deepEqual(at(119, 119), BACKGROUND);
      const digest = createHash("md5").update(seed).digest();
      const bits = [...digest.subarray(1)].flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1));
      const filled = new Set<string>();
      for (let column = 0; column < 5; column += 1) {
        for (let row = 0; row < 5; row += 1) {
          const colour = at(10 + column * 20 + 10, 10 + row * 20 + 10);
          const isFilled = String(colour) !== String(BACKGROUND);
          assert.equal(isFilled, bits[([0, 1, 2, 1, 0][column] as number) * 5 + row] === 1, `${seed} ${column} ${row}`);
          if (isFilled) filled.add(String(colour));
        }
      }
      assert.equal(filled.size, 1);
    }
  });

  test("a percent-encoded seed is decoded once, and slashes in it count", async () => {
    const plain = await ask(lone().url, `${PATH}a/b`);
    assert.deepEqual((await ask(lone().url, `${PATH}a%2Fb`)).body, plain.body);
    assert.notDeepEqual((await ask(lone().url, `${PATH}a%252Fb`)).body, plain.body);
    assert.equal((await ask(lone().url, `${PATH}%zz`)).status, 400);
  });

  test("has the width and height asked for, from 96 to 512 pixels", async () => {
    const cases = {
      "": [96, 96],
      "?width=200": [200, 200],
      "?height=200": [200, 200],
      "?width=100&height=300": [100, 300],
    };
    const clamped = { "?width=1": [96, 96], "?width=-5&height=9999999999": [96, 512], "?width=513": [512, 512] };
    for (const [query, size] of Object.entries({ ...cases, ...clamped })) {
      const { width, height } = await pixelsOf((await ask(lone().url, `${PATH}x${query}`)).body);
      assert.deepEqual([width, height], size, query);
    }
    for (const query of ["?width=wide", "?height=1.5"]) {
      const heard = await ask(lone().url, `${PATH}x${query}`);
      assert.equal(heard.status, 400);
      assert.equal(jsonOf(heard).errcode, "M_INVALID_PARAM");
    }
  });

  test("answers under all versions of the path", async () => {
    for (const version of ["v1", "v3", "unstable", "unstable/io.t2bot.media"]) {
      assert.equal((await ask(lone().url, `/_matrix/media/${version}/identicon/x`)).status, 200, version);
    }
  });

  test("is 404 where identicons are switched off", async (t) => {
    const { url } = await startLone(t, { yaml: "identicons: { enabled: false }" });
    const heard = await ask(url, `${PATH}alice`);
    assert.equal(heard.status, 404);
    assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
  });
});
