import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import sharp from "sharp";
import { animation, GREEN, plain, RED } from "../../contract/imaging/support/pictures.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";

/** Which pictures are decoded: those that are of a type in `thumbnails.types`, whatever they say they are. */

const USER = "token_of_user";
const picture = () => plain(200, 200, RED);
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200">${" ".repeat(200)}</svg>`;

/** What the default list does not have. */
const UNLISTED: Readonly<Record<string, () => Promise<Buffer>>> = {
  AVIF: () => picture().avif().toBuffer(),
  TIFF: () => picture().tiff().toBuffer(),
  WebP: () => picture().webp().toBuffer(),
  "animated WebP": () => animation("webp", [RED, GREEN]),
  SVG: async () => Buffer.from(SVG),
};

const LISTED: Readonly<Record<string, () => Promise<Buffer>>> = {
  JPEG: () => makePhoto(200, 200),
  PNG: () => picture().png().toBuffer(),
  GIF: () => animation("gif", [RED, GREEN]),
};

describe("what a picture is, and not what it says it is, decides whether it is decoded", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  before(async () => {
    stack = await startStack(lifetime);
  });

  const send = (bytes: Buffer, type: string) => upload(stack.tiers.origin, USER, bytes, { type });
  const thumbnail = (base: string, id: string) =>
    ask(base, `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`, { token: USER });
  const info = async (base: string, id: string) =>
    jsonOf(await ask(base, `/_matrix/media/unstable/info/${id}`, { token: USER }));

  /** How many questions decoders have answered so far. */
  async function decodings(): Promise<number> {
    const { body } = await stack.origin.app.metrics.page();
    const lines = body.match(/^media_decodings_total\{.*\} \d+$/gm) ?? [];
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  for (const tier of ["origin", "edge"] as const) {
    for (const [name, make] of Object.entries(UNLISTED)) {
      test(`${name} sent as image/png is 400 like any type that is not listed, and no decoder sees it, at the ${tier}`, async () => {
        const id = await send(await make(), "image/png");
        const before = await decodings();
        const heard = await thumbnail(stack.tiers[tier], id);
        assert.equal(heard.status, 400, heard.body.toString());
        assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
        assert.equal(jsonOf(heard).error, "Cannot make thumbnails of this type of media");
        assert.ok(!("width" in (await info(stack.tiers[tier], id))));
        assert.equal(await decodings(), before);
      });
    }

    for (const [name, make] of Object.entries(LISTED)) {
      test(`${name} gets its thumbnail under the name of another picture type, at the ${tier}`, async () => {
        for (const type of ["image/png", "image/jpeg", "image/webp", "image/x-unheard-of"]) {
          const id = await send(await make(), type);
          const heard = await thumbnail(stack.tiers[tier], id);
          assert.equal(heard.status, 200, `${type}: ${heard.body}`);
          assert.equal((await sharp(heard.body).metadata()).width, 32);
          assert.equal((await info(stack.tiers[tier], id)).width, 200);
        }
      });
    }

    test(`what says that it is no picture is not looked into, at the ${tier}`, async () => {
      const id = await send(await makePhoto(200, 200), "text/plain");
      const before = await decodings();
      assert.equal((await thumbnail(stack.tiers[tier], id)).status, 400);
      assert.equal(await decodings(), before);
    });
  }
});

test("a type that is listed is decoded", async (t) => {
  const stack = await startStack(t, { yaml: "thumbnails: { types: [image/avif, image/tiff, image/webp] }\n" });
  for (const name of ["AVIF", "TIFF", "WebP"]) {
    const bytes = (await UNLISTED[name]?.()) ?? Buffer.alloc(0);
    const id = await upload(stack.tiers.origin, USER, bytes, { type: "image/png" });
    const path = `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`;
    assert.equal((await ask(stack.tiers.origin, path, { token: USER })).status, 200, name);
  }
  const id = await upload(stack.tiers.origin, USER, await makePhoto(200, 200), { type: "image/webp" });
  const path = `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`;
  assert.equal((await ask(stack.tiers.origin, path, { token: USER })).status, 400);
});
