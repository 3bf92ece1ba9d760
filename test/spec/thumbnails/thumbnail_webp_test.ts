import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import sharp from "sharp";
import { animation, BLUE, GREEN, plain, RED } from "../../contract/imaging/support/pictures.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, told, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { readDisposition } from "../downloads/disposition.ts";

/** WebP thumbnails for those who accept them: only where `thumbnails.preferWebp` says so, and told to caches by `Vary`. */

const USER = "token_of_user";
const BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let ids: { photo: string; glass: string; gif: string; tiny: string };

before(async () => {
  stack = await startStack(lifetime, { yaml: "thumbnails: { preferWebp: true }\n" });
  const add = (body: Buffer, type: string) => upload(stack.tiers.origin, USER, body, { type });
  ids = {
    photo: await add(await makePhoto(800, 600), "image/jpeg"),
    glass: await add(
      await plain(300, 300, { ...RED, alpha: 0.5 })
        .png()
        .toBuffer(),
      "image/png",
    ),
    gif: await add(await animation("gif", [RED, GREEN, BLUE]), "image/gif"),
    tiny: await add(await makePhoto(20, 20), "image/jpeg"),
  };
});

const path = (id: string, more = "") =>
  `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop${more}`;

for (const tier of ["origin", "edge"] as const) {
  const get = (id: string, accept: string | undefined, more = "", headers: Record<string, string> = {}) =>
    ask(stack.tiers[tier], path(id, more), {
      token: USER,
      headers: { ...headers, ...(accept === undefined ? {} : { accept }) },
    });

  describe(`with preferWebp, through the ${tier}`, () => {
    test("#136 #137 #138 who names WebP gets it, and everybody else what they always got", async () => {
      for (const [id, type] of [
        [ids.photo, "image/jpeg"],
        [ids.glass, "image/png"],
      ] as const) {
        for (const accept of [BROWSER, "image/webp"]) {
          const heard = await get(id, accept);
          assert.equal(heard.headers["content-type"], "image/webp");
          assert.equal((await sharp(heard.body).metadata()).format, "webp");
          assert.deepEqual(readDisposition(heard.headers["content-disposition"]), {
            kind: "inline",
            fileName: "thumbnail.webp",
          });
        }
        for (const accept of [undefined, "*/*", "image/*", "image/webp;q=0, */*"]) {
          assert.equal((await get(id, accept)).headers["content-type"], type, accept);
        }
      }
    });

    test("every answer says that it depends on Accept, and the tags of the forms differ", async () => {
      const [webp, jpeg] = [await get(ids.photo, BROWSER), await get(ids.photo, undefined)];
      for (const heard of [webp, jpeg]) assert.equal(heard.headers.vary, "Accept");
      assert.notEqual(webp.headers.etag, jpeg.headers.etag);
      const tag = { "if-none-match": webp.headers.etag ?? "" };
      const same = await get(ids.photo, BROWSER, "", tag);
      assert.deepEqual([same.status, same.headers.vary], [304, "Accept"]);
      assert.equal((await get(ids.photo, undefined, "", tag)).status, 200);
    });

    test("what moves is WebP anyway, and stays moving; what need not be drawn stays what it is", async () => {
      for (const accept of [BROWSER, undefined]) {
        const heard = await get(ids.gif, accept, "&animated=true");
        assert.equal(heard.headers["content-type"], "image/webp");
        assert.equal((await sharp(heard.body).metadata()).pages, 3);
      }
      assert.equal((await get(ids.gif, BROWSER)).headers["content-type"], "image/webp");
      assert.equal((await get(ids.tiny, BROWSER)).headers["content-type"], "image/jpeg");
    });

    test("a download does not depend on Accept", async () => {
      const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${ids.photo}`, {
        token: USER,
        headers: { accept: BROWSER },
      });
      assert.equal(heard.headers["content-type"], "image/jpeg");
      assert.equal(heard.headers.vary, undefined);
    });
  });
}

test("there are two forms of a thumbnail at most, under keys that both tiers know, and the edge answers both by itself", async () => {
  const id = await upload(stack.tiers.origin, USER, await makePhoto(400, 300), { type: "image/jpeg" });
  const spellings = [BROWSER, "image/webp", "IMAGE/WEBP;q=0.5", "*/*", "text/html", "", "image/webp;q=0"];
  for (const accept of spellings) {
    const asking = { token: USER, headers: { accept } };
    const again = await untilHit(() => ask(stack.tiers.edge, path(id), asking));
    assert.deepEqual(told(again), told(await ask(stack.tiers.origin, path(id), asking)));
  }
  const { rows } = await stack.origin.app.db.query<{ suffix: string }>(
    "SELECT suffix FROM thumbnails WHERE media_id = $1 ORDER BY suffix",
    [id.split("/")[1]],
  );
  assert.deepEqual(
    rows.map(({ suffix }) => suffix),
    ["96x96-crop", "96x96-crop-webp"],
  );
});
