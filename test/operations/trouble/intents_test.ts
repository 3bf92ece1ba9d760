import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { passing } from "../../support/clocks.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";

/** What becomes of an object whose row never came: its process was killed in between. */

const USER = "token_of_user";
const HOUR_MS = 3_600_000;

test("an object whose row never came is removed after an hour, and nothing else is", async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  let aheadMs = 0;
  const origin = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    overrides: { ...passing(() => aheadMs), graceMs: 0 },
  });
  const { db, jobs } = origin.app;
  const media = join(origin.folder, "media");
  const files = async () => (await listFiles(media)).length;
  const intents = async () => (await db.query("SELECT FROM intents")).rows.length;

  const bytes = randomBytes(5_000);
  const id = await upload(origin.url, USER, bytes);
  assert.equal(await intents(), 0, "the row has taken its intent away");

  // The transaction that would record the body fails, as it does for a process that ends before it.
  await db.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON blobs FOR EACH ROW EXECUTE FUNCTION fail()`);
  const failed = await ask(origin.url, "/_matrix/media/v3/upload", {
    method: "POST",
    token: USER,
    body: randomBytes(500),
  });
  assert.equal(failed.status, 500);
  await db.exec("DROP TRIGGER fail ON blobs");
  assert.equal(await files(), 2);
  assert.equal(await intents(), 1);

  // Another database has put an object there, too.
  await mkdir(join(media, "ab"), { recursive: true });
  await writeFile(join(media, "ab", `${"cd".repeat(31)}-7`), "theirs");
  aheadMs = HOUR_MS - 60_000;
  await jobs.runNow("reap");
  assert.equal(await files(), 3, "it may be on its way still");
  aheadMs = HOUR_MS + 60_000;
  await jobs.runNow("reap");
  assert.equal(await files(), 2, "ours that is recorded, and theirs");
  assert.equal(await intents(), 0);
  const heard = await ask(origin.url, `/_matrix/client/v1/media/download/${id}`, { token: USER });
  assert.ok(heard.body.equals(bytes));
});
