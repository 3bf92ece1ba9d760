import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { passing } from "../../support/clocks.ts";
import { ask, jsonOf } from "../../support/http.ts";
import { until } from "../../support/until.ts";
import { bytes, CREATE, create, download, newUser, originForFile, put, startLone } from "./stage.ts";

const HOUR_MS = 3_600_000;
let aheadMs = 0;
const lone = originForFile({
  yaml: "uploads: { maxPending: 2, maxAgeSeconds: 3600 }",
  overrides: passing(() => aheadMs),
});

describe("an id that was not filled in time", () => {
  let token = "";
  let id = "";
  before(async () => {
    token = newUser(lone().homeserver);
    id = await create(lone().url, token);
    aheadMs += HOUR_MS + 1;
  });

  test("#76 takes no upload any more: 404", async () => {
    const heard = await put(lone().url, token, id);
    assert.equal(heard.status, 404);
    assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    assert.equal((await put(lone().url, newUser(lone().homeserver), id)).status, 404);
  });

  test("#89 is 404 for downloads and thumbnails at once", async () => {
    const start = performance.now();
    for (const path of [download(id), `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32`]) {
      const heard = await ask(lone().url, path, { token });
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    }
    assert.ok(performance.now() - start < 15_000, "nobody waited");
  });

  test("#71 does not count as pending", async () => {
    await create(lone().url, token);
    await create(lone().url, token);
    assert.equal((await ask(lone().url, CREATE, { method: "POST", token })).status, 429);
  });

  test("is cleared away by the job a day later, while what still waits stays", async () => {
    const { app, url, homeserver } = lone();
    aheadMs += 24 * HOUR_MS + 1;
    const other = newUser(homeserver);
    const waiting = await create(url, other);
    await app.jobs.runNow("expire_pending");
    const { rows } = await app.db.query<{ media_id: string }>("SELECT media_id FROM pending_uploads");
    assert.ok(rows.some((row) => waiting.endsWith(row.media_id)));
    assert.ok(!rows.some((row) => id.endsWith(row.media_id)));
    assert.equal((await put(url, token, id)).status, 404);
    assert.equal((await put(url, other, waiting)).status, 200);
  });

  test("#25 is never given out again", async () => {
    const { rows } = await lone().app.db.query("SELECT FROM media_ids_used WHERE media_id = $1", [id.split("/")[1]]);
    assert.equal(rows.length, 1);
  });
});

test("who waits for an id that expires meanwhile gets 404 then, not at the end of their patience", async () => {
  const { url, homeserver } = lone();
  const token = newUser(homeserver);
  const id = await create(url, token);
  aheadMs += HOUR_MS - 400;
  const start = performance.now();
  const heard = await ask(url, download(id, "?timeout_ms=60000"), { token });
  assert.equal(heard.status, 404);
  assert.ok(performance.now() - start < 40_000);
});

test("a body that began to arrive in time may finish after the id has expired", async () => {
  const { url, homeserver, folder } = lone();
  const token = newUser(homeserver);
  const id = await create(url, token);
  // Too large to be kept in memory.
  const body = bytes(400_000);
  const slow = startPut(url, token, id, body.byteLength);
  slow.write(body.subarray(0, 4_000));
  await until(() => hasPart(folder), "the body begins to arrive");
  aheadMs += HOUR_MS + 1;
  slow.end(body.subarray(4_000));
  assert.equal(await slow.status, 200);
  assert.deepEqual((await ask(url, download(id), { token })).body, body);
});

test("#81 a body that stands still ends with 408, and the id waits on", async (t) => {
  const { url, homeserver } = await startLone(t, { overrides: { bodyIdleMs: 300 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const slow = startPut(url, token, id, 1_000);
  slow.write(bytes(400));
  assert.equal(await slow.status, 408);
  assert.equal((await put(url, token, id)).status, 200);
});

/** Whether a body is just arriving. */
async function hasPart(folder: string): Promise<boolean> {
  const files = await readdir(join(folder, "media"), { recursive: true }).catch(() => []);
  return files.some((file) => file.endsWith(".part"));
}

/** A PUT whose body the test sends bit by bit. */
function startPut(base: string, token: string, id: string, length: number) {
  const { hostname, port } = new URL(base);
  const headers = { authorization: `Bearer ${token}`, "content-length": String(length) };
  const path = `/_matrix/media/v3/upload/${id}`;
  const sending = request({ hostname, port, method: "PUT", path, headers, agent: false });
  const status = new Promise<number>((resolve, reject) => {
    sending.on("error", reject);
    sending.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
  });
  return { status, write: (part: Buffer) => sending.write(part), end: (part: Buffer) => sending.end(part) };
}
