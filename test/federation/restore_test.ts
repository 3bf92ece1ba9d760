import assert from "node:assert/strict";
import { test } from "node:test";
import { passing } from "../support/clocks.ts";
import { ask } from "../support/http.ts";
import { makePhoto } from "../support/pictures.ts";
import { openStage, USER } from "./stage.ts";

test("media of another server whose datastore has left the configuration is fetched again, and its thumbnails are made", async (t) => {
  let passedMs = 0;
  const stage = await openStage(t, { overrides: passing(() => passedMs) });
  const photo = await makePhoto(200, 100);
  stage.remote.media.set("kept", { bytes: photo, type: "image/jpeg" });
  const thumbnail = `${stage.path("kept").replace("/download/", "/thumbnail/")}?width=32&height=32&method=crop`;
  assert.equal((await stage.get("kept")).status, 200);
  const asked = () => stage.remote.asked("/_matrix/federation/v1/media/download/kept");
  assert.equal(asked(), 1);

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
