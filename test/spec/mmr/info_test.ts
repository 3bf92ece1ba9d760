import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { makePhoto } from "../../support/pictures.ts";
import { bytes, create, newUser, put, stackForFile } from "../uploads/stage.ts";

const stack = stackForFile();
const PREFIXES = ["/_matrix/media/unstable", "/_matrix/media/unstable/io.t2bot.media"];
const infoOf = (base: string, token: string, id: string) => ask(base, `${PREFIXES[0]}/info/${id}`, { token });

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];
  const user = () => newUser(stack().homeserver);

  describe(`info through the ${tier}`, () => {
    test("of a picture tells type, size, hash, width and height, and the thumbnails that are there", async () => {
      const token = user();
      const photo = await makePhoto(150, 90);
      const id = await upload(base(), token, photo, { type: "image/jpeg" });
      const expected = {
        content_uri: `mxc://${id}`,
        content_type: "image/jpeg",
        size: photo.byteLength,
        hashes: { sha256: createHash("sha256").update(photo).digest("hex") },
        width: 150,
        height: 90,
        thumbnails: [],
      };
      for (const prefix of PREFIXES) {
        const heard = await ask(base(), `${prefix}/info/${id}`, { token: user() });
        assert.equal(heard.status, 200, heard.body.toString());
        assert.deepEqual(jsonOf(heard), expected);
      }
      const path = `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`;
      const thumbnail = await ask(base(), path, { token });
      assert.equal(thumbnail.status, 200);
      assert.deepEqual(jsonOf(await infoOf(base(), token, id)).thumbnails, [
        { width: 32, height: 32, ready: true, content_type: "image/jpeg", size: thumbnail.body.byteLength },
      ]);
    });

    test("of what is no picture, or a broken one, tells no width and height", async () => {
      const token = user();
      for (const type of ["application/octet-stream", "image/png"]) {
        const id = await upload(base(), token, bytes(), { type });
        const heard = await infoOf(base(), token, id);
        assert.equal(heard.status, 200);
        assert.equal(jsonOf(heard).content_type, type);
        assert.ok(!("width" in jsonOf(heard)));
      }
    });

    test("waits for media that is not uploaded yet", async () => {
      const token = user();
      const id = await create(base(), token);
      const waiting = infoOf(base(), token, id);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await put(base(), token, id, { body: bytes(222) });
      assert.equal(jsonOf(await waiting).size, 222);
    });

    test("needs a token, no guest's, and media that is there", async () => {
      const path = `${PREFIXES[0]}/info/example.org/nobodyEver`;
      assert.equal((await ask(base(), path)).status, 401);
      assert.equal((await ask(base(), path, { token: "token_of_guest" })).status, 403);
      assert.equal((await ask(base(), path, { token: user() })).status, 404);
      assert.equal((await ask(base(), `${path}?allow_remote=perhaps`, { token: user() })).status, 400);
      assert.equal((await ask(base(), `${PREFIXES[0]}/info/example.org/a.b`, { token: user() })).status, 400);
    });
  });
}
