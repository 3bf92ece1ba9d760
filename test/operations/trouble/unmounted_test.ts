import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
import { ACCOUNTS, startOrigin, type TestOrigin } from "../../support/app.ts";
import { openTestBucket } from "../../support/bucket.ts";
import { putPglite } from "../../support/database.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

/** What becomes of uploads, and of what is stored, while the place of a datastore is not there: a disk that is not mounted. */

const USER = "token_of_user";
const UPLOAD = "/_matrix/media/v3/upload";
const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const thumbnail = (id: string) => `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=scale`;

/** A folder that several origins use one after the other, and what they say in their logs. */
async function makeHouse(t: Lifetime) {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await putPglite(join(folder, "db"));
  const media = join(folder, "media");
  const away = join(folder, "media.away");
  const said: string[] = [];
  const log = makeLog({ level: "info", json: true, write: (line) => void said.push(line) });
  return {
    media,
    said,
    open: (files: { name: string; text: string }[] = []) =>
      startOrigin(t, {
        homeservers: { "example.org": homeserver.url },
        folder,
        files,
        overrides: { log, graceMs: 0, orphanAgeMs: 0 },
      }),
    /** What is left of a folder when the disk that was mounted there is not: an empty one. */
    async unmount() {
      await rename(media, away);
      await mkdir(media);
    },
    async mount() {
      await rm(media, { recursive: true, force: true });
      await rename(away, media);
    },
  };
}

const get = (origin: TestOrigin, path: string) => ask(origin.url, path, { token: USER });
const send = (origin: TestOrigin, body: Buffer) => ask(origin.url, UPLOAD, { method: "POST", token: USER, body });

function isTrouble(heard: Heard): void {
  assert.equal(heard.status, 503, heard.body.toString());
  assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
  assert.ok(Number(heard.headers["retry-after"]) > 0);
  assert.equal(heard.headers["cache-control"], "no-store");
}

async function worksAgain(origin: TestOrigin): Promise<void> {
  await until(async () => (await send(origin, randomBytes(500))).status === 200, "uploads work again by themselves");
}

async function runJobs({ app }: TestOrigin): Promise<void> {
  for (const job of ["watch_datastores", "expire_thumbnails", "reap"]) {
    await app.jobs.runNow(job);
  }
}

const rowsOf = async ({ app }: TestOrigin) =>
  (await app.db.query("SELECT sha256, location FROM blobs ORDER BY sha256")).rows;

test("a disk that goes away while we run: nothing is stored beside it, nothing of it is forgotten, and it comes back", async (t) => {
  const house = await makeHouse(t);
  const origin = await house.open();
  const bytes = randomBytes(5_000);
  const id = await upload(origin.url, USER, bytes);
  const photo = await upload(origin.url, USER, await makePhoto(640, 480), { type: "image/jpeg" });
  const drawn = await get(origin, thumbnail(photo));
  assert.equal(drawn.status, 200);
  await runJobs(origin);
  const before = await rowsOf(origin);

  await house.unmount();
  // Of what is checked every few seconds, the first upload may still find it as it was.
  for (const body of [randomBytes(500), bytes, randomBytes(500)]) isTrouble(await send(origin, body));
  for (const path of [download(id), thumbnail(photo)]) isTrouble(await get(origin, path));
  await runJobs(origin);
  assert.deepEqual(await rowsOf(origin), before);
  assert.deepEqual(await readdir(house.media), [], "nothing was left where it is mounted");
  assert.equal(house.said.filter((line) => /the datastore is not there/.test(line)).length, 1);
  assert.deepEqual(jsonOf(await get(origin, "/healthz")).missing_datastores, ["files"]);
  assert.match((await origin.app.metrics.page()).body, /^media_datastore_present\{datastore="files"\} 0$/m);

  await house.mount();
  await worksAgain(origin);
  assert.ok((await get(origin, download(id))).body.equals(bytes));
  assert.ok((await get(origin, thumbnail(photo))).body.equals(drawn.body));
  const health = jsonOf(await get(origin, "/healthz"));
  assert.deepEqual(health, { ok: true, status: "ready" });
});

test("a disk that is away when we start is named, and uploads work once it is there", async (t) => {
  const house = await makeHouse(t);
  const first = await house.open();
  const id = await upload(first.url, USER, randomBytes(5_000));
  await first.app.close();

  await house.unmount();
  house.said.length = 0;
  const origin = await house.open();
  assert.match(house.said.join(""), /the datastore is not there/);
  assert.match(origin.app.notices().join("\n"), /"files".*is not there/);
  isTrouble(await send(origin, randomBytes(500)));
  isTrouble(await get(origin, download(id)));
  await runJobs(origin);
  assert.deepEqual(await readdir(house.media), []);
  await house.mount();
  await worksAgain(origin);
  assert.equal((await get(origin, download(id))).status, 200);
  assert.deepEqual(origin.app.notices(), []);
});

test("a new database takes an empty folder, and keeps to it before anything lies there", async (t) => {
  const house = await makeHouse(t);
  const first = await house.open();
  await first.app.close();
  await house.unmount();
  const origin = await house.open();
  isTrouble(await send(origin, randomBytes(500)));
  await house.mount();
  await worksAgain(origin);
});

test("an installation from before takes a folder for its own only where its media is", async (t) => {
  const house = await makeHouse(t);
  const forget = async ({ app }: TestOrigin) => {
    await app.db.query("DELETE FROM datastore_identities");
    await app.close();
    await rm(join(house.media, ".mxcdn"), { recursive: true });
  };
  const first = await house.open();
  for (let n = 0; n < 5; n += 1) await upload(first.url, USER, randomBytes(500));
  await forget(first);

  const second = await house.open();
  assert.deepEqual(second.app.notices(), []);
  await worksAgain(second);
  await forget(second);

  await house.unmount();
  const third = await house.open();
  isTrouble(await send(third, randomBytes(500)));
  await house.mount();
  await worksAgain(third);
});

test("a folder under the disk that was used once, and has a file of its own, is not taken for the disk", async (t) => {
  const house = await makeHouse(t);
  const early = await house.open();
  await upload(early.url, USER, randomBytes(500));
  await early.app.close();
  // Now the disk is mounted, with all that there is so far and more to come.
  await cp(house.media, `${house.media}.under`, { recursive: true });
  await rm(join(house.media, ".mxcdn"), { recursive: true });
  const second = await house.open();
  for (let n = 0; n < 5; n += 1) await upload(second.url, USER, randomBytes(500));
  await second.app.close();
  await house.unmount();
  await rmdir(house.media);
  await rename(`${house.media}.under`, house.media);
  isTrouble(await send(await house.open(), randomBytes(500)));
});

test("whose media is gone for good: the log says how to begin anew", async (t) => {
  const house = await makeHouse(t);
  const origin = await house.open();
  await upload(origin.url, USER, randomBytes(500));
  await house.unmount();
  isTrouble(await send(origin, randomBytes(500)));
  const line = house.said.find((one) => /the datastore is not there/.test(one));
  const { file } = JSON.parse(line ?? "{}") as { file: string };
  await mkdir(dirname(join(house.media, file)), { recursive: true });
  await writeFile(join(house.media, file), "");
  await worksAgain(origin);
});

test("a bucket that was emptied, or is another one of the same name, is not written to", async (t) => {
  const house = await makeHouse(t);
  const { r2, ...bucket } = await openTestBucket(t);
  const tempPath = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(tempPath, { recursive: true, force: true }));
  const { endpoint, bucket: bucketName, accessKeyId, accessSecret } = bucket;
  const opts = JSON.stringify({ endpoint, bucketName, accessKeyId, accessSecret, tempPath });
  const text = `homeserver: example.org\ndatastores:\n  - { id: s3, type: s3, forKinds: [all], opts: ${opts} }\n`;
  const files = [{ name: "domain.yaml", text }];
  const first = await house.open(files);
  const body = randomBytes(500);
  const id = await upload(first.url, USER, body);
  await first.app.close();

  const kept = new Map<string, ArrayBuffer>();
  for (const { key } of (await r2.list()).objects) {
    kept.set(key, await ((await r2.get(key)) as { arrayBuffer(): Promise<ArrayBuffer> }).arrayBuffer());
    await r2.delete(key);
  }
  const origin = await house.open(files);
  isTrouble(await send(origin, randomBytes(500)));
  isTrouble(await get(origin, download(id)));
  assert.deepEqual((await r2.list()).objects, []);
  for (const [key, bytes] of kept) await r2.put(key, bytes);
  await worksAgain(origin);
  assert.ok((await get(origin, download(id))).body.equals(body));
  assert.deepEqual(await listFiles(tempPath), [], "no temporary file is left");
});
