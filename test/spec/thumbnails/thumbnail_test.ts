import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import sharp from "sharp";
import { COMMON_HEADERS } from "../../../shared/http/respond.ts";
import { makeApng, plainPng } from "../../contract/imaging/support/apng_file.ts";
import { bombPng } from "../../contract/imaging/support/hostile_files.ts";
import { animation, BLUE, GREEN, nameAt, plain, RED } from "../../contract/imaging/support/pictures.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { readDisposition } from "../downloads/disposition.ts";

/** Specification checklist 7.8: thumbnails, as clients get them from either tier. */

const USER = "token_of_user";
const MAX_SOURCE_BYTES = 2_000_000;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
const ids: Record<string, string> = {};
const files: Record<string, Buffer> = {};

/** The standard sizes of the specification, then what clients ask for beside them. */
const STANDARD = [
  [32, 32, "crop"],
  [96, 96, "crop"],
  [320, 240, "scale"],
  [640, 480, "scale"],
  [800, 600, "scale"],
] as const;
const OTHERS = [
  [1, 1, "crop"],
  [50, 10, "crop"],
  [10, 50, "crop"],
  [100, 100, "scale"],
  [100, 700, "crop"],
  [1000, 1000, "scale"],
  [3000, 20, "scale"],
  [3000, 2000, "crop"],
] as const;
const SOURCES: Record<string, [number, number]> = {
  photo: [1200, 900],
  tall: [300, 1000],
  tiny: [50, 40],
  line: [400, 3],
};

before(async () => {
  stack = await startStack(lifetime, {
    yaml: `thumbnails:
  types: [image/jpeg, image/jpg, image/png, image/gif, image/webp, image/apng]
  maxSourceBytes: ${MAX_SOURCE_BYTES}
`,
  });
  const add = async (name: string, body: Buffer, type: string) => {
    files[name] = body;
    ids[name] = await upload(stack.tiers.origin, USER, body, { type, name: `${name}.bin` });
  };
  for (const [name, [width, height]] of Object.entries(SOURCES))
    await add(name, await makePhoto(width, height), "image/jpeg");
  const colours = [RED, GREEN, BLUE];
  await add("gif", await animation("gif", colours, { side: 120 }), "image/gif");
  await add("webp", await animation("webp", colours, { side: 120 }), "image/webp");
  const frames = await Promise.all(colours.map((colour) => plainPng(120, 120, { ...colour, alpha: 1 })));
  await add("apng", makeApng(frames.map((png) => ({ png }))), "image/png");
  await add(
    "glass",
    await plain(200, 200, { ...RED, alpha: 0.5 })
      .png()
      .toBuffer(),
    "image/png",
  );
  await add("text", Buffer.from("words ".repeat(100)), "text/plain");
  await add("ciphertext", randomBytes(20_000), "application/octet-stream");
  await add("disguised", randomBytes(20_000), "image/jpeg");
  await add("half", (await makePhoto(600, 600)).subarray(0, 20_000), "image/jpeg");
  await add("bomb", bombPng(30_000, 30_000), "image/png");
  await add("heavy", Buffer.concat([await makePhoto(64, 64), Buffer.alloc(MAX_SOURCE_BYTES)]), "image/jpeg");
  await add(
    "svg",
    Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">${" ".repeat(200)}</svg>`),
    "image/svg+xml",
  );
});

for (const tier of ["origin", "edge"] as const) {
  const get = (name: string, query: string, headers: Record<string, string> = {}) =>
    ask(stack.tiers[tier], `/_matrix/client/v1/media/thumbnail/${ids[name]}?${query}`, { token: USER, headers });

  describe(`a thumbnail through the ${tier}`, () => {
    for (const [width, height, method] of [...STANDARD, ...OTHERS]) {
      test(`#129 #130 #132 #133 #134 ${method} ${width}x${height}: no smaller than asked for, no larger than the source`, async () => {
        for (const [name, [sourceWidth, sourceHeight]] of Object.entries(SOURCES)) {
          const heard = await get(name, `width=${width}&height=${height}&method=${method}`);
          assert.equal(heard.status, 200, `${name}: ${heard.body}`);
          const got = await sharp(heard.body).metadata();
          const what = `${name}: ${got.width}x${got.height}`;
          assert.ok(got.width <= sourceWidth && got.height <= sourceHeight, `${what} is upscaled`);
          const cut = method === "crop";
          // What a picture of the source's size can give: all of it, or the largest cut of that shape.
          const share = cut ? Math.min(1, sourceWidth / width, sourceHeight / height) : 1;
          const wanted = {
            width: Math.min(width * share, sourceWidth),
            height: Math.min(height * share, sourceHeight),
          };
          assert.ok(
            got.width >= Math.round(wanted.width) && got.height >= Math.round(wanted.height),
            `${what} is too small`,
          );
          const shape = cut ? width / height : sourceWidth / sourceHeight;
          // A pixel more or less on either side is no other shape.
          assert.ok(Math.abs(got.width - got.height * shape) <= Math.max(1, shape), `${what} has another shape`);
        }
      });
    }

    test("#128 is scaled where no method is given", async () => {
      const [unsaid, scaled] = [
        await get("tall", "width=96&height=96"),
        await get("tall", "width=96&height=96&method=scale"),
      ];
      assert.equal(unsaid.headers.etag, scaled.headers.etag);
      const { width = 0, height = 0 } = await sharp(unsaid.body).metadata();
      assert.ok(Math.abs(height / width - 1000 / 300) < 0.05, `${width}x${height}`);
    });

    test("#131 of a picture that is smaller than asked for is that picture, byte for byte", async () => {
      for (const [width, height, method] of [
        [320, 240, "scale"],
        [800, 600, "scale"],
      ] as const) {
        const heard = await get("tiny", `width=${width}&height=${height}&method=${method}`);
        assert.ok(heard.body.equals(files.tiny ?? Buffer.alloc(0)));
        assert.equal(heard.headers["content-type"], "image/jpeg");
      }
    });

    test("#102 #136 #137 #138 is one of five types, shown inline under a name that fits, with all headers", async () => {
      const endings: Record<string, string> = {
        "image/jpeg": ".jpg",
        "image/png": ".png",
        "image/gif": ".gif",
        "image/webp": ".webp",
      };
      const wanted: Record<string, string> = {
        photo: "image/jpeg",
        glass: "image/png",
        tiny: "image/jpeg",
        gif: "image/jpeg",
      };
      for (const [name, type] of Object.entries(wanted)) {
        const heard = await get(name, "width=32&height=32&method=crop");
        assert.equal(heard.headers["content-type"], type, name);
        const { format } = await sharp(heard.body).metadata();
        assert.equal(`image/${format}`, type);
        assert.deepEqual(readDisposition(heard.headers["content-disposition"]), {
          kind: "inline",
          fileName: `thumbnail${endings[type]}`,
        });
        for (const [header, value] of Object.entries(COMMON_HEADERS)) assert.equal(heard.headers[header], value);
        assert.match(heard.headers["cache-control"] ?? "", /^private\b/);
        assert.equal(heard.headers["content-length"], String(heard.body.byteLength));
        assert.equal(heard.headers.vary, undefined);
      }
    });

    for (const name of ["gif", "webp", "apng"]) {
      test(`#139 #140 of a moving ${name} is a still unless motion is asked for, however small the source`, async () => {
        for (const animated of ["&animated=false", ""]) {
          for (const size of ["width=32&height=32&method=crop", "width=120&height=120", "width=800&height=600"]) {
            const heard = await get(name, size + animated);
            assert.equal(heard.status, 200);
            assert.equal((await sharp(heard.body).metadata()).pages ?? 1, 1, size);
            assert.equal(heard.body.includes("acTL"), false, "an animated PNG");
            // Half-way through, as `stillFrame` has it.
            assert.equal(await nameAt(heard.body, 0.5, 0.5), "green");
          }
        }
      });

      test(`#141 of a moving ${name} moves where that is asked for, as WebP where it is drawn anew`, async () => {
        const heard = await get(name, "width=32&height=32&method=crop&animated=true");
        assert.equal(heard.headers["content-type"], "image/webp");
        const { pages, width, pageHeight } = await sharp(heard.body, { animated: true }).metadata();
        assert.deepEqual([pages, width, pageHeight], [3, 32, 32]);
        const whole = await get(name, "width=800&height=600&animated=true");
        assert.ok(whole.body.equals(files[name] ?? Buffer.alloc(0)), "a small original moves already");
      });
    }

    test("#142 of what does not move is the same whether motion is asked for or not", async () => {
      for (const name of ["photo", "glass"]) {
        const [asked, not] = [
          await get(name, "width=96&height=96&method=crop&animated=true"),
          await get(name, "width=96&height=96&method=crop&animated=false"),
        ];
        assert.equal(asked.status, 200);
        assert.equal(asked.headers["content-type"], not.headers["content-type"]);
        assert.ok(asked.body.equals(not.body));
      }
    });

    test("#127 is of a width and a height, each a whole number above 0: else 400", async () => {
      for (const query of ["", "width=32", "height=32", "width=&height=32"]) {
        refused(await get("photo", query), 400, "M_MISSING_PARAM", query);
      }
      for (const side of ["0", "-32", "32.5", "3e1", "%2032", "wide", "16385", "99999999999"]) {
        refused(await get("photo", `width=${side}&height=32`), 400, "M_UNKNOWN", side);
        refused(await get("photo", `width=32&height=${side}`), 400, "M_UNKNOWN", side);
      }
    });

    test("#143 #147 of what is no picture is 400 M_UNKNOWN, whatever it claims to be", async () => {
      for (const name of ["text", "ciphertext", "disguised", "svg"]) {
        refused(await get(name, "width=32&height=32"), 400, "M_UNKNOWN", name);
      }
    });

    test("#144 #146 of what has too many bytes or pixels is 413 M_TOO_LARGE, at once", async () => {
      for (const name of ["heavy", "bomb"]) {
        const begun = performance.now();
        refused(await get(name, "width=32&height=32"), 413, "M_TOO_LARGE", name);
        assert.ok(performance.now() - begun < 20_000);
      }
    });

    test("#146 of half a picture is 400 M_UNKNOWN, each time it is asked for", async () => {
      for (let times = 0; times < 2; times += 1) {
        refused(await get("half", "width=32&height=32&method=crop"), 400, "M_UNKNOWN", "half");
      }
    });

    test("has conditions and ranges like a download", async () => {
      const query = "width=320&height=240&method=scale";
      const whole = await get("photo", query);
      const same = await get("photo", query, { "if-none-match": whole.headers.etag ?? "" });
      assert.equal(same.status, 304);
      const part = await get("photo", query, { range: "bytes=5-9" });
      assert.equal(part.status, 206);
      assert.ok(part.body.equals(whole.body.subarray(5, 10)));
    });
  });
}

function refused(heard: Heard, status: number, errcode: string, what: string): void {
  assert.equal(heard.status, status, `${what}: ${heard.body}`);
  assert.equal(jsonOf(heard).errcode, errcode, what);
}
