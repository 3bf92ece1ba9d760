import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import type { App } from "../../../origin/app.ts";
import { ask, type Heard, jsonOf } from "../../support/http.ts";
import { requestsSeen } from "../../support/requests_seen.ts";
import { until } from "../../support/until.ts";
import { bytes, create, download, newUser, put, startLone } from "./stage.ts";

const A_MINUTE = "?timeout_ms=60000";
/** What takes longer has waited as long as it was allowed to by {@link A_MINUTE}. */
const SOON_MS = 40_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Begins to ask, and resolves when the request has reached its route and had a moment to begin to wait. */
async function beginAsking(
  { metrics }: App,
  asking: () => Promise<Heard>,
): Promise<{ readonly heard: Promise<Heard> }> {
  const before = await requestsSeen(metrics);
  const heard = asking();
  await until(async () => (await requestsSeen(metrics)) > before, "the request is there");
  await pause(60);
  return { heard };
}

/** How many requests for downloads are over, answered or not. */
async function downloadsOver({ metrics }: App): Promise<number> {
  const { body } = await metrics.page();
  const counts = body.matchAll(/^media_http_responses_total\{action="download".*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

test("#86 under pressure those who have waited longest are answered early, and nobody else", async (t) => {
  const { url, homeserver, app } = await startLone(t, { overrides: { maxWaiting: 3 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const answered: number[] = [];
  const waiting: Promise<number>[] = [];
  for (let who = 0; who < 5; who += 1) {
    const { heard } = await beginAsking(app, () => ask(url, download(id, A_MINUTE), { token }));
    waiting.push(
      heard.then((one) => {
        answered.push(who);
        return one.status;
      }),
    );
  }
  await until(() => answered.length >= 2, "two are answered early");
  assert.deepEqual(answered, [0, 1]);
  await put(url, token, id);
  assert.deepEqual(await Promise.all(waiting), [504, 504, 200, 200, 200]);
});

test("a client that goes away makes room: nobody else is answered early for it", async (t) => {
  const { url, homeserver, app } = await startLone(t, { overrides: { maxWaiting: 2 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const asking = () => ask(url, download(id, A_MINUTE), { token });
  const first = await beginAsking(app, asking);
  const { hostname, port } = new URL(url);
  const headers = { authorization: `Bearer ${token}` };
  const leaving = request({ hostname, port, path: download(id, A_MINUTE), headers, agent: false });
  const left = new Promise<Heard>((_, reject) => leaving.on("error", reject));
  left.catch(() => undefined);
  await beginAsking(app, () => {
    leaving.end();
    return left;
  });
  leaving.destroy();
  await until(async () => (await downloadsOver(app)) === 1, "it has left");
  const last = await beginAsking(app, asking);
  await put(url, token, id);
  assert.deepEqual([(await first.heard).status, (await last.heard).status], [200, 200]);
});

test("closing the origin answers those who wait instead of waiting with them", async (t) => {
  const { url, homeserver, app } = await startLone(t);
  const token = newUser(homeserver);
  const id = await create(url, token);
  const { heard: waiting } = await beginAsking(app, () => ask(url, download(id, A_MINUTE), { token }));
  const start = performance.now();
  await app.close();
  const heard = await waiting;
  assert.equal(heard.status, 504);
  assert.equal(jsonOf(heard).errcode, "M_NOT_YET_UPLOADED");
  assert.ok(performance.now() - start < SOON_MS);
});

test("news that is lost costs those who wait until the next look, no more", async (t) => {
  const { url, homeserver, app } = await startLone(t, { overrides: { recheckMs: 300 } });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const { heard: waiting } = await beginAsking(app, () => ask(url, download(id, A_MINUTE), { token }));
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
  assert.ok(performance.now() - start < SOON_MS);
});
