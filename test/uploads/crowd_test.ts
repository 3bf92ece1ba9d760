import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { ask, jsonOf } from "../support/http.ts";
import { bytes, create, download, newUser, put, startLone } from "./stage.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("#86 under pressure those who have waited longest are answered early, and nobody else", async (t) => {
  const { url, homeserver } = await startLone(t, { overrides: { maxWaiting: 3 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const answered: number[] = [];
  const waiting: Promise<number>[] = [];
  for (let who = 0; who < 5; who += 1) {
    const heard = ask(url, download(id, "?timeout_ms=60000"), { token });
    waiting.push(
      heard.then((one) => {
        answered.push(who);
        return one.status;
      }),
    );
    await pause(60);
  }
  await pause(100);
  assert.deepEqual(answered, [0, 1]);
  await put(url, token, id);
  assert.deepEqual(await Promise.all(waiting), [504, 504, 200, 200, 200]);
});

test("a client that goes away makes room: nobody else is answered early for it", async (t) => {
  const { url, homeserver } = await startLone(t, { overrides: { maxWaiting: 2 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const first = ask(url, download(id), { token });
  await pause(100);
  const { hostname, port } = new URL(url);
  const leaving = request({ hostname, port, path: download(id), headers: { authorization: `Bearer ${token}` } });
  leaving.on("error", () => undefined);
  leaving.end();
  await pause(100);
  leaving.destroy();
  await pause(100);
  const last = ask(url, download(id), { token });
  await pause(100);
  await put(url, token, id);
  assert.deepEqual([(await first).status, (await last).status], [200, 200]);
});

test("closing the origin answers those who wait instead of waiting with them", async (t) => {
  const { url, homeserver, app } = await startLone(t);
  const token = newUser(homeserver);
  const id = await create(url, token);
  const waiting = ask(url, download(id, "?timeout_ms=60000"), { token });
  await pause(150);
  const start = performance.now();
  await app.close();
  const heard = await waiting;
  assert.equal(heard.status, 504);
  assert.equal(jsonOf(heard).errcode, "M_NOT_YET_UPLOADED");
  assert.ok(performance.now() - start < 3_000);
});

test("news that is lost costs those who wait until the next look, no more", async (t) => {
  const { url, homeserver, app } = await startLone(t, { overrides: { recheckMs: 300 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const waiting = ask(url, download(id), { token });
  await pause(100);
  // Completed behind the origin's back: the media is there, and nobody is notified.
  const other = await create(url, token);
  const body = bytes();
  await put(url, token, other, { body });
  const [pending, done] = [id.split("/")[1], other.split("/")[1]];
  await app.db.transaction(async (tx) => {
    await tx.query("DELETE FROM pending_uploads WHERE media_id = $1", [pending]);
    await tx.query(
      `INSERT INTO media (server_name, media_id, sha256, content_type, user_id, created_at, frozen, last_access_day, generation)
       SELECT server_name, $1, sha256, content_type, user_id, created_at, frozen, last_access_day, nextval('generations')
       FROM media WHERE media_id = $2`,
      [pending, done],
    );
  });
  const start = performance.now();
  const heard = await waiting;
  assert.equal(heard.status, 200);
  assert.deepEqual(heard.body, body);
  assert.ok(performance.now() - start < 2_000);
});
