import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { ACCOUNTS, startOrigin, startStack, type TestOrigin, type TestStack } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

/** What becomes of media whose object is not in its datastore any more, or is not what it was: after a restore, say. */

const USER = "token_of_user";
const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const thumbnail = (id: string) => `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=scale`;

interface Place {
  readonly datastore_id: string;
  readonly location: string;
  readonly generation: number;
}

/** Where the body of a media lies. */
async function placeOf({ app }: TestOrigin, id: string): Promise<Place> {
  const { rows } = await app.db.query<Place>(
    `SELECT b.datastore_id, b.location, b.generation FROM media m JOIN blobs b USING (sha256) WHERE m.media_id = $1`,
    [id.split("/")[1]],
  );
  return rows[0] as Place;
}

/** The path of the file that a media lies in. */
async function fileOf(origin: TestOrigin, id: string): Promise<string> {
  return join(origin.folder, "media", (await placeOf(origin, id)).location);
}

/** The path of the file that the one thumbnail of a media lies in. */
async function thumbnailFileOf({ app, folder }: TestOrigin, id: string): Promise<string> {
  const { rows } = await app.db.query<Place>(
    "SELECT b.location FROM thumbnails t JOIN blobs b USING (sha256) WHERE t.media_id = $1",
    [id.split("/")[1]],
  );
  return join(folder, "media", rows[0]?.location ?? "");
}

function isUnreadable(heard: Heard): void {
  assert.equal(heard.status, 503);
  assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
  assert.ok(Number(heard.headers["retry-after"]) > 0);
}

describe("media whose object is lost", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  before(async () => {
    // What is in memory is sent from there, whatever becomes of its object.
    stack = await startStack(lifetime, { yaml: "downloads: { cache: { enabled: false } }" });
  });
  const get = (base: string, path: string) => ask(base, path, { token: USER });

  for (const [name, lose] of [
    ["has vanished", (path: string) => rm(path)],
    ["is cut short", (path: string) => truncate(path, 2_000)],
    ["is longer than it was", (path: string) => truncate(path, 9_000)],
  ] as const) {
    test(`comes back for everybody who has it when its bytes come again: it ${name}`, async () => {
      const bytes = randomBytes(5_000);
      const first = await upload(stack.tiers.origin, USER, bytes);
      const before = await placeOf(stack.origin, first);
      await lose(await fileOf(stack.origin, first));

      const second = await upload(stack.tiers.origin, USER, bytes);
      const after = await placeOf(stack.origin, first);
      assert.ok(after.generation > before.generation, "another incarnation");
      assert.notEqual(after.location, before.location);
      for (const id of [first, second]) {
        for (const base of Object.values(stack.tiers)) {
          const heard = await get(base, download(id));
          assert.equal(heard.status, 200);
          assert.ok(heard.body.equals(bytes));
        }
      }
      const third = await upload(stack.tiers.origin, USER, bytes);
      assert.deepEqual(await placeOf(stack.origin, third), after, "what is there is not stored again");
    });
  }

  test("comes back once when its bytes come many times at once", async () => {
    const bytes = randomBytes(5_000);
    await rm(await fileOf(stack.origin, await upload(stack.tiers.origin, USER, bytes)));
    const ids = await Promise.all(Array.from({ length: 8 }, () => upload(stack.tiers.origin, USER, bytes)));
    for (const id of ids) assert.ok((await get(stack.tiers.origin, download(id))).body.equals(bytes));
  });

  test("is told to the edge anew when it is back: what the edge had of it may have gone meanwhile", async () => {
    const bytes = randomBytes(5_000);
    const id = await upload(stack.tiers.origin, USER, bytes);
    assert.equal((await get(stack.tiers.edge, download(id))).status, 200);
    const { generation } = await placeOf(stack.origin, id);
    await rm(await fileOf(stack.origin, id));
    await upload(stack.tiers.origin, USER, bytes);
    const [copy] = (await stack.edge.bucket.list({ prefix: "b/" })).objects.filter(({ key }) =>
      key.endsWith(`-${generation}`),
    );
    await stack.edge.bucket.delete(copy?.key ?? "");
    await until(async () => {
      const heard = await get(stack.tiers.edge, download(id));
      return heard.body.equals(bytes) && /hit/.test(heard.headers["cache-status"] ?? "");
    }, "the edge answers by itself again");
  });

  test("is 503 at once until then, whole or in part, never half of it", async () => {
    for (const lose of [rm, (path: string) => truncate(path, 2_000)]) {
      const id = await upload(stack.tiers.origin, USER, randomBytes(5_000));
      await lose(await fileOf(stack.origin, id));
      for (const headers of [{}, { range: "bytes=0-9" }, { range: "bytes=4990-" }] as Record<string, string>[]) {
        for (const base of Object.values(stack.tiers)) {
          isUnreadable(await ask(base, download(id), { token: USER, headers }));
        }
      }
    }
  });

  test("that is cut short while it is sent breaks the connection, so that nobody takes half of it for the whole", async () => {
    const size = 40_000_000;
    const id = await upload(stack.tiers.origin, USER, Buffer.alloc(size, 7));
    const path = await fileOf(stack.origin, id);
    const { hostname, port } = new URL(stack.tiers.origin);
    const socket = connect(Number(port), hostname);
    socket.write(`GET ${download(id)} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${USER}\r\n\r\n`);
    let received = 0;
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.once("data", (chunk) => {
        received += chunk.byteLength;
        socket.pause();
        resolve();
      });
    });
    await truncate(path, 1_000_000);
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      received += chunk.byteLength;
    });
    socket.resume();
    await closed;
    assert.ok(received < size, `${received} bytes`);
  });

  test("does not take its thumbnails with it, nor they it: a thumbnail that is lost is made again", async () => {
    const id = await upload(stack.tiers.origin, USER, await makePhoto(640, 480), { type: "image/jpeg" });
    const before = await get(stack.tiers.origin, thumbnail(id));
    assert.equal(before.status, 200);
    for (const lose of [rm, (path: string) => truncate(path, 10)]) {
      await lose(await thumbnailFileOf(stack.origin, id));
      const heard = await Promise.all(Array.from({ length: 5 }, () => get(stack.tiers.origin, thumbnail(id))));
      for (const one of heard) {
        assert.equal(one.status, 200, one.body.toString());
        assert.ok(one.body.equals(before.body));
      }
    }
    await rm(await fileOf(stack.origin, id));
    assert.equal((await get(stack.tiers.origin, thumbnail(id))).status, 200);
    isUnreadable(await get(stack.tiers.origin, download(id)));

    // With nothing left to make it of it is lost, and still no client's mistake.
    await rm(await thumbnailFileOf(stack.origin, id));
    for (let times = 0; times < 2; times += 1) isUnreadable(await get(stack.tiers.origin, thumbnail(id)));
  });
});

test("media of a datastore that has left the configuration comes back into one that is there", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const homeservers = { "example.org": homeserver.url };
  const other = `{ id: other, type: file, forKinds: [all], opts: { path: "${join(folder, "other")}" } }`;
  const files = [{ name: "domain.yaml", text: `homeserver: example.org\ndatastores:\n  - ${other}\n` }];
  const bytes = randomBytes(5_000);
  const photo = await makePhoto(640, 480);

  const old = await startOrigin(t, { homeservers, folder, files });
  const id = await upload(old.url, USER, bytes);
  const picture = await upload(old.url, USER, photo, { type: "image/jpeg" });
  const made = await ask(old.url, thumbnail(picture), { token: USER });
  assert.equal((await placeOf(old, id)).datastore_id, "other");
  await old.app.close();

  const origin = await startOrigin(t, { homeservers, folder });
  isUnreadable(await ask(origin.url, download(id), { token: USER }));
  const again = await upload(origin.url, USER, bytes);
  assert.equal((await placeOf(origin, id)).datastore_id, "files");
  const heard = await ask(origin.url, download(again), { token: USER });
  assert.ok(heard.body.equals(bytes));

  await upload(origin.url, USER, photo, { type: "image/jpeg" });
  const thumb = await ask(origin.url, thumbnail(picture), { token: USER });
  assert.equal(thumb.status, 200);
  assert.ok(thumb.body.equals(made.body), "its thumbnail, too");
});
