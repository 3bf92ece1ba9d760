import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { breakOff } from "../../support/break_off.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { askChunked, bytes, create, download, newUser, put, SERVER, stackForFile } from "./stage.ts";

const stack = stackForFile({ yaml: "uploads: { maxPending: 0, maxBytes: 200000, minBytes: 100 }" });

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];
  const user = () => newUser(stack().homeserver);

  describe(`PUT upload through the ${tier}`, () => {
    test("#73 fills the id of its creator, and the media has bytes, type and name of the upload", async () => {
      const token = user();
      const id = await create(base(), token);
      const body = bytes();
      const heard = await put(base(), token, `${id}?filename=two%20words.txt`, {
        body,
        headers: { "content-type": "text/plain" },
      });
      assert.equal(heard.status, 200, heard.body.toString());
      assert.equal(heard.headers["content-type"], "application/json");
      assert.deepEqual(jsonOf(heard), {});
      const media = await ask(base(), download(id), { token });
      assert.equal(media.status, 200);
      assert.deepEqual(media.body, body);
      assert.equal(media.headers["content-type"], "text/plain");
      assert.match(media.headers["content-disposition"] ?? "", /^inline;.*two words\.txt/);
    });

    test("#54 without a type is application/octet-stream, without a name has none", async () => {
      const token = user();
      const id = await create(base(), token);
      assert.equal((await put(base(), token, id)).status, 200);
      const media = await ask(base(), download(id), { token });
      assert.equal(media.headers["content-type"], "application/octet-stream");
      assert.equal(media.headers["content-disposition"], "attachment");
    });

    test("#74 is refused to another user with 403, and the id waits on", async () => {
      const token = user();
      const id = await create(base(), token);
      const heard = await put(base(), user(), id);
      assert.equal(heard.status, 403);
      assert.equal(jsonOf(heard).errcode, "M_FORBIDDEN");
      assert.equal((await put(base(), token, id)).status, 200);
      assert.equal((await put(base(), user(), id)).status, 403);
    });

    test("#75 to an id that was never reserved is 404", async () => {
      const heard = await put(base(), user(), `${SERVER}/neverReserved`);
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    });

    test("#75 to an id of POST upload is 409 for its uploader and 403 for others, content unchanged", async () => {
      const token = user();
      const body = bytes();
      const id = await upload(base(), token, body);
      const own = await put(base(), token, id);
      assert.equal(own.status, 409);
      assert.equal(jsonOf(own).errcode, "M_CANNOT_OVERWRITE_MEDIA");
      assert.equal((await put(base(), user(), id)).status, 403);
      assert.deepEqual((await ask(base(), download(id), { token })).body, body);
    });

    test("#77 with a foreign server name is 404", async () => {
      const token = user();
      const id = await create(base(), token);
      for (const server of ["example.com", "EXAMPLE.ORG", "127.0.0.1"]) {
        const heard = await put(base(), token, id.replace(SERVER, server));
        assert.equal(heard.status, 404, server);
        assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
      }
    });

    test("#78 a second time is 409, content unchanged", async () => {
      const token = user();
      const id = await create(base(), token);
      const body = bytes();
      assert.equal((await put(base(), token, id, { body })).status, 200);
      for (const again of [body, bytes()]) {
        const heard = await put(base(), token, id, { body: again });
        assert.equal(heard.status, 409);
        assert.equal(jsonOf(heard).errcode, "M_CANNOT_OVERWRITE_MEDIA");
      }
      assert.deepEqual((await ask(base(), download(id), { token })).body, body);
    });

    test("to an id whose media was deleted is 404: an id is filled once in its life", async () => {
      const token = user();
      const id = await create(base(), token);
      assert.equal((await put(base(), token, id)).status, 200);
      const path = `/_matrix/media/unstable/download/${id}`;
      assert.equal((await ask(base(), path, { method: "DELETE", token })).status, 200);
      assert.equal((await put(base(), token, id)).status, 404);
    });

    test("#79 obeys the size limits of POST upload, and the id waits on", async () => {
      const token = user();
      const id = await create(base(), token);
      const large = await put(base(), token, id, { body: bytes(200_001) });
      assert.equal(large.status, 413);
      assert.equal(jsonOf(large).errcode, "M_TOO_LARGE");
      assert.equal((await put(base(), token, id, { body: bytes(99) })).status, 400);
      const path = `/_matrix/media/v3/upload/${id}`;
      for (const [length, status] of [
        [300_000, 413],
        [3_000_000, 413],
        [99, 400],
      ] as const) {
        const heard = await askChunked(base(), path, { method: "PUT", token, body: bytes(length) });
        assert.equal(heard.status, status, `${length} bytes in chunks: ${heard.body}`);
      }
      assert.equal((await put(base(), token, id, { body: bytes(200_000) })).status, 200);
    });

    test("#80 of two at once exactly one succeeds, 20 of 20 times, and its bytes are the media", async () => {
      const token = user();
      for (let round = 0; round < 20; round += 1) {
        const id = await create(base(), token);
        const same = round % 4 === 0 ? bytes() : undefined;
        const bodies = [same ?? bytes(), same ?? bytes(), same ?? bytes()];
        const heard = await Promise.all(bodies.map((body) => put(base(), token, id, { body })));
        assert.deepEqual(heard.map((one) => one.status).sort(), [200, 409, 409]);
        const winner = bodies[heard.findIndex((one) => one.status === 200)];
        assert.deepEqual((await ask(base(), download(id), { token })).body, winner);
      }
    });

    test("#81 a broken-off one can be repeated, and shows nothing", async () => {
      const token = user();
      const id = await create(base(), token);
      for (let attempt = 0; attempt < 2; attempt += 1)
        await breakOff(base(), { method: "PUT", path: `/_matrix/media/v3/upload/${id}`, token, length: 100_000 });
      assert.equal((await ask(base(), download(id, "?timeout_ms=0"), { token })).status, 504);
      const body = bytes();
      assert.equal((await put(base(), token, id, { body })).status, 200);
      assert.deepEqual((await ask(base(), download(id), { token })).body, body);
    });

    test("#16 #17 refuses malformed ids and server names with 400", async () => {
      const token = user();
      for (const id of [`${SERVER}/a.b`, `${SERVER}/a%2Fb`, `${SERVER}/%00`, "256.1.1.1/abc", `${SERVER}:123456/abc`]) {
        const heard = await put(base(), token, id);
        assert.equal(heard.status, 400, id);
        assert.equal(jsonOf(heard).errcode, "M_INVALID_PARAM");
      }
    });

    test("#29 #41 #51 needs a token, no guest's, whatever else is wrong", async () => {
      assert.equal((await put(base(), undefined, "not a server/!".replace(/ /g, "%20"))).status, 401);
      const heard = await put(base(), "token_of_guest", `${SERVER}/abc`);
      assert.equal(heard.status, 403);
      assert.equal(jsonOf(heard).errcode, "M_GUEST_ACCESS_FORBIDDEN");
    });

    test("answers under its unstable name too", async () => {
      const token = user();
      const id = await create(base(), token);
      const path = `/_matrix/media/unstable/fi.mau.msc2246/upload/${id}`;
      const heard = await ask(base(), path, { method: "PUT", token, body: bytes() });
      assert.equal(heard.status, 200);
      assert.equal((await ask(base(), download(id), { token })).status, 200);
    });
  });
}

test("#61 equal bytes under two reserved ids are two media on one body, and one can be deleted", async () => {
  const { url, app } = stack().origin;
  const token = newUser(stack().homeserver);
  const body = bytes();
  const ids = [await create(url, token), await create(url, token)];
  for (const id of ids) assert.equal((await put(url, token, id, { body })).status, 200);
  const { rows } = await app.db.query("SELECT DISTINCT sha256 FROM media WHERE media_id = ANY ($1)", [
    ids.map((id) => id.split("/")[1]),
  ]);
  assert.equal(rows.length, 1);
  await ask(url, `/_matrix/media/unstable/download/${ids[0]}`, { method: "DELETE", token });
  assert.deepEqual((await ask(url, download(ids[1] ?? ""), { token })).body, body);
});

test("a lost race leaves no body that nobody points at", async () => {
  const { url, app } = stack().origin;
  const token = newUser(stack().homeserver);
  const id = await create(url, token);
  const heard = await Promise.all(Array.from({ length: 4 }, () => put(url, token, id)));
  assert.equal(heard.filter((one) => one.status === 200).length, 1);
  const { rows } = await app.db.query(
    `SELECT sha256 FROM blobs b WHERE doomed_at IS NULL AND NOT EXISTS (SELECT FROM media m WHERE m.sha256 = b.sha256)
     AND NOT EXISTS (SELECT FROM thumbnails t WHERE t.sha256 = b.sha256)`,
  );
  assert.deepEqual(rows, []);
});
