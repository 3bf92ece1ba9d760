import assert from "node:assert/strict";
import { test } from "node:test";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { passing } from "../../support/clocks.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import { makePhoto } from "../../support/pictures.ts";

const DAY_MS = 86_400_000;
const TOKEN = "token_of_user";

test("thumbnails go so many days after they were made, and are made again when somebody asks", async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  let aheadMs = 0;
  const { url, app } = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    yaml: "thumbnails: { expireAfterDays: 2 }",
    overrides: passing(() => aheadMs),
  });
  const id = await upload(url, TOKEN, await makePhoto(200, 200), { type: "image/jpeg" });
  const path = `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`;
  const count = async () => (await app.db.query<{ n: number }>("SELECT count(*) AS n FROM thumbnails")).rows[0]?.n;
  assert.equal((await ask(url, path, { token: TOKEN })).status, 200);

  aheadMs = DAY_MS;
  await app.jobs.runNow("expire_thumbnails");
  assert.equal(await count(), 1, "kept until its time is over");
  aheadMs = 3 * DAY_MS;
  await app.jobs.runNow("expire_thumbnails");
  assert.equal(await count(), 0);
  const { rows } = await app.db.query<{ doomed: number }>("SELECT count(doomed_at) AS doomed FROM blobs");
  assert.equal(rows[0]?.doomed, 1, "its body goes after the grace time, the media's stays");
  assert.equal((await ask(url, path, { token: TOKEN })).status, 200);
  assert.equal(await count(), 1);
});
