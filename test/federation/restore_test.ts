import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { passing } from "../support/clocks.ts";
import { ask } from "../support/http.ts";
import { makePhoto } from "../support/pictures.ts";
import { envelope } from "../support/remote_server.ts";
import { requestsSeen } from "../support/requests_seen.ts";
import { openStage, USER, until, userToken } from "./stage.ts";

test("media of another server whose datastore has left the configuration is fetched again, and its thumbnails are made", async (t) => {
  let passedMs = 0;
  const stage = await openStage(t, { overrides: passing(() => passedMs) });
  const photo = await makePhoto(200, 100);
  stage.remote.media.set("kept", { bytes: photo, type: "image/jpeg" });
  const thumbnail = `${stage.path("kept").replace("/download/", "/thumbnail/")}?width=32&height=32&method=crop`;
  assert.equal((await stage.get("kept")).status, 200);
  const asked = () => stage.remote.asked("/_matrix/federation/v1/media/download/kept");
  assert.equal(asked(), 1);
  await until(async () => (await stage.rows()).length === 1);

  for (const [times, path] of [stage.path("kept"), thumbnail].entries()) {
    await stage.origin.app.db.query("UPDATE blobs SET datastore_id = 'elsewhere'");
    // What was read of the row a moment ago is not believed any more.
    passedMs += 3_000;
    assert.equal((await ask(stage.url, path, { token: USER })).status, 200);
    assert.equal(asked(), 2 + times);
    assert.ok((await stage.get("kept")).body.equals(photo));
  }
  const { rows } = await stage.origin.app.db.query("SELECT DISTINCT datastore_id FROM blobs");
  assert.deepEqual(rows, [{ datastore_id: "files" }]);
  assert.equal(asked(), 3);
});

test("media of another server whose datastore has left the configuration stays where it cannot be fetched again", async (t) => {
  let passedMs = 0;
  const stage = await openStage(t, { overrides: passing(() => passedMs) });
  const bytes = Buffer.from("the only copy ".repeat(50));
  stage.remote.media.set("kept", { bytes, type: "text/plain" });
  assert.equal((await stage.get("kept")).status, 200);
  await until(async () => (await stage.rows()).length === 1);
  stage.remote.media.delete("kept");
  const { db } = stage.origin.app;
  await db.query("UPDATE blobs SET datastore_id = 'elsewhere'");
  passedMs += 3_000;
  assert.equal((await stage.get("kept")).status, 404);
  await db.query("UPDATE blobs SET datastore_id = 'files'");
  passedMs += 3_000;
  assert.ok((await stage.get("kept")).body.equals(bytes));
});

test("other bytes than before take the place of media whose datastore has left the configuration", async (t) => {
  let passedMs = 0;
  const stage = await openStage(t, { overrides: passing(() => passedMs) });
  stage.remote.media.set("kept", { bytes: Buffer.from("as before ".repeat(50)), type: "text/plain" });
  assert.equal((await stage.get("kept")).status, 200);
  await until(async () => (await stage.rows()).length === 1);
  const bytes = Buffer.from("otherwise ".repeat(50));
  stage.remote.media.set("kept", { bytes, type: "text/plain" });
  await stage.origin.app.db.query("UPDATE blobs SET datastore_id = 'elsewhere'");
  passedMs += 3_000;
  for (let times = 0; times < 2; times += 1) assert.ok((await stage.get("kept")).body.equals(bytes));
});

test("who leaves while a lost picture is fetched again for a thumbnail takes it from nobody who waits for the same", async (t) => {
  let passedMs = 0;
  const stage = await openStage(t, { overrides: passing(() => passedMs) });
  const file = { bytes: await makePhoto(200, 100), type: "image/jpeg" };
  stage.remote.media.set("kept", file);
  assert.equal((await stage.get("kept")).status, 200);
  await until(async () => (await stage.rows()).length === 1);
  await stage.origin.app.db.query("UPDATE blobs SET datastore_id = 'elsewhere'");
  passedMs += 3_000;

  const gate = Promise.withResolvers<void>();
  const fetched = "/_matrix/federation/v1/media/download/kept";
  stage.remote.instead.set(fetched, async (_, response) => {
    await gate.promise;
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=b0undary" }).end(envelope(file));
  });
  const thumbnail = `${stage.path("kept").replace("/download/", "/thumbnail/")}?width=32&height=32&method=crop`;
  const leaving = new AbortController();
  const headers = { authorization: `Bearer ${USER}` };
  const first = fetch(stage.url + thumbnail, { headers, signal: leaving.signal });
  await until(() => stage.remote.asked(fetched) === 2);
  const seen = await requestsSeen(stage.origin.app.metrics);
  const second = ask(stage.url, thumbnail, { token: userToken(2) });
  await until(async () => (await requestsSeen(stage.origin.app.metrics)) > seen);
  // Nothing tells that it waits too, nor that the other's leaving was heard of.
  await pause(200);
  leaving.abort();
  await assert.rejects(first);
  await pause(200);
  gate.resolve();
  assert.equal((await second).status, 200);
});
