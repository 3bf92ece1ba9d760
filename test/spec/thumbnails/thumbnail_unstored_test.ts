import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import sharp from "sharp";
import { makeLog } from "../../../origin/platform/log.ts";
import { refuse, startFailingStore } from "../../contract/stores/failing_store.ts";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { passing } from "../../support/clocks.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";

/** Thumbnails that cannot be stored: the picture is there, and is served. */

const USER = "token_of_user";
const MINUTE = 60_000;

const REFUSALS = {
  full: [507, "XMinioStorageFull"],
  failing: [503, "SlowDown"],
  "read-only": [403, "AccessDenied"],
} as const;

/** Keeps what it is given while it is well. `putting`: what becomes of a new object otherwise. */
class Store {
  readonly objects = new Map<string, Buffer>();
  putting: "well" | keyof typeof REFUSALS = "well";

  answer(request: IncomingMessage & { body: Buffer }, response: ServerResponse): void {
    const key = request.url?.split("?")[0] ?? "";
    const found = this.objects.get(key);
    if (request.method === "PUT") this.#put(key, request.body, response);
    else if (!found) refuse(response, 404, "NoSuchKey");
    else response.writeHead(200, { "content-length": found.byteLength }).end(request.method === "HEAD" ? "" : found);
  }

  #put(key: string, body: Buffer, response: ServerResponse): void {
    if (this.putting !== "well") {
      const [status, code] = REFUSALS[this.putting];
      refuse(response, status, code);
    } else {
      this.objects.set(key, body);
      response.writeHead(200, { etag: '"1"' }).end();
    }
  }
}

/** An origin on such a store, whose clock the test may put forward. */
async function openStage(
  lifetime: Lifetime,
  /** `path`: a folder that is the store. */
  given: { path?: string; tempPath?: string; scratchFolder?: string } = {},
) {
  const store = new Store();
  const { options } = await startFailingStore(lifetime, (request, response) => store.answer(request, response));
  const homeserver = await startHomeserver(ACCOUNTS);
  lifetime.after(() => homeserver.close());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const tempPath = given.tempPath ?? join(folder, "temp");
  const scratchFolder = given.scratchFolder ?? join(folder, "scratch");
  const [type, opts] = given.path === undefined ? ["s3", { ...options, tempPath }] : ["file", { path: given.path }];
  const datastore = JSON.stringify({ id: "small", type, forKinds: ["all"], opts });
  const text = `homeserver: example.org\ndatastores:\n  - ${datastore}\n`;
  const said: string[] = [];
  let ahead = 0;
  const { url, app } = await startOrigin(lifetime, {
    homeservers: { "example.org": homeserver.url },
    files: [{ name: "domain.yaml", text }],
    overrides: {
      ...passing(() => ahead),
      log: makeLog({ level: "info", json: true, write: (line) => said.push(line) }),
      scratchFolder,
    },
  });
  return {
    ...{ store, url, app, folder, tempPath, scratchFolder },
    pass: (ms: number) => (ahead += ms),
    photo: async () => await upload(url, USER, await makePhoto(400, 300), { type: "image/jpeg" }),
    thumbnail: (id: string, side = 96) =>
      ask(url, `/_matrix/client/v1/media/thumbnail/${id}?width=${side}&height=${side}&method=crop`, { token: USER }),
    /** How many thumbnails are recorded. */
    recorded: async () => (await app.db.query("SELECT FROM thumbnails")).rows.length,
    saying: (text: string) => said.filter((line) => line.includes(text)).length,
    temporary: async () => [...(await listFiles(tempPath)), ...(await listFiles(scratchFolder))],
  };
}

async function isPicture(heard: Heard): Promise<void> {
  assert.equal(heard.status, 200, heard.body.toString());
  assert.equal(heard.headers["content-type"], "image/jpeg");
  assert.equal((await sharp(heard.body).metadata()).width, 96);
}

describe("a thumbnail that cannot be stored", () => {
  for (const putting of Object.keys(REFUSALS) as (keyof typeof REFUSALS)[]) {
    test(`is served all the same when the store is ${putting}, said once, and stored when it is well`, async (t) => {
      const stage = await openStage(t);
      const [one, other] = [await stage.photo(), await stage.photo()];
      stage.store.putting = putting;
      const first = await stage.thumbnail(one);
      await isPicture(first);
      const again = await stage.thumbnail(one);
      assert.equal(again.headers.etag, first.headers.etag);
      assert.ok(again.body.equals(first.body));
      await isPicture(await stage.thumbnail(other));
      assert.equal(await stage.recorded(), 0);
      assert.equal(stage.saying("thumbnails cannot be stored"), 1);
      assert.deepEqual(await stage.temporary(), []);
      stage.store.putting = "well";
      stage.pass(2 * MINUTE);
      const stored = await stage.thumbnail(one);
      assert.ok(stored.body.equals(first.body));
      assert.equal(await stage.recorded(), 1);
      assert.equal(stage.saying("thumbnails can be stored again"), 1);
    });
  }

  test("has conditions and ranges like any other", async (t) => {
    const stage = await openStage(t);
    const id = await stage.photo();
    stage.store.putting = "full";
    const whole = await stage.thumbnail(id);
    const path = `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`;
    const get = (headers: Record<string, string>) => ask(stage.url, path, { token: USER, headers });
    assert.equal((await get({ "if-none-match": whole.headers.etag ?? "" })).status, 304);
    const part = await get({ range: "bytes=5-9" });
    assert.equal(part.status, 206);
    assert.ok(part.body.equals(whole.body.subarray(5, 10)));
  });

  test("is served when the database takes no rows", async (t) => {
    const stage = await openStage(t);
    const id = await stage.photo();
    await stage.app.db.exec(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'cannot execute INSERT in a read-only transaction'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON thumbnails FOR EACH STATEMENT EXECUTE FUNCTION refuse();`);
    await isPicture(await stage.thumbnail(id));
    // This one is the original itself.
    const small = await upload(stage.url, USER, await makePhoto(40, 30), { type: "image/jpeg" });
    const path = `/_matrix/client/v1/media/thumbnail/${small}?width=320&height=240&method=scale`;
    const heard = await ask(stage.url, path, { token: USER });
    assert.equal(heard.status, 200);
    assert.equal((await sharp(heard.body).metadata()).width, 40);
    await stage.app.db.exec("DROP TRIGGER refuse ON thumbnails");
  });

  test("is served when the folder that is the store is full", async (t) => {
    const path = await mountSmall(t);
    if (path === undefined) return t.skip("nothing may be mounted here");
    const stage = await openStage(t, { path });
    const id = await stage.photo();
    await fill(path);
    await isPicture(await stage.thumbnail(id));
    assert.equal(await stage.recorded(), 0);
    assert.deepEqual(await stage.temporary(), []);
  });

  test("is not shown once its media is gone", async (t) => {
    const stage = await openStage(t);
    const id = await stage.photo();
    stage.store.putting = "full";
    await isPicture(await stage.thumbnail(id));
    await stage.app.db.exec("UPDATE media SET quarantined_at = 1");
    stage.pass(5_000);
    assert.equal((await stage.thumbnail(id)).status, 404);
  });
});

describe("where temporary files of a thumbnail", () => {
  test("cannot be written beside the store, they are written elsewhere", async (t) => {
    const stage = await openStage(t);
    const id = await stage.photo();
    await rm(stage.tempPath, { recursive: true, force: true });
    await writeFile(stage.tempPath, "no folder");
    await isPicture(await stage.thumbnail(id));
    assert.equal(await stage.recorded(), 1);
    assert.deepEqual(await listFiles(stage.scratchFolder), []);
  });

  test("can be written nowhere, it is 503 with a time to retry, and not held against the picture", async (t) => {
    const stage = await openStage(t);
    const id = await stage.photo();
    await rm(stage.tempPath, { recursive: true, force: true });
    for (const folder of [stage.tempPath, stage.scratchFolder]) await writeFile(folder, "no folder");
    const heard = await stage.thumbnail(id);
    assert.equal(heard.status, 503);
    assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    assert.ok(Number(heard.headers["retry-after"]) > 0);
    assert.ok(!heard.body.includes(stage.folder));
    await rm(stage.scratchFolder);
    await isPicture(await stage.thumbnail(id));
  });

  test("find no room anywhere, it is 507, and is made once there is", async (t) => {
    const folder = await mountSmall(t);
    if (folder === undefined) return t.skip("nothing may be mounted here");
    const stage = await openStage(t, { tempPath: join(folder, "temp"), scratchFolder: join(folder, "scratch") });
    const id = await stage.photo();
    await mkdir(stage.scratchFolder);
    await fill(folder);
    const heard = await stage.thumbnail(id);
    assert.equal(heard.status, 507, heard.body.toString());
    assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    assert.match(String(jsonOf(heard).error), /no room left/);
    assert.ok(Number(heard.headers["retry-after"]) > 0);
    assert.deepEqual(await stage.temporary(), []);
    await rm(join(folder, "filler"));
    await isPicture(await stage.thumbnail(id));
  });
});

/** A file system of one megabyte; `undefined` where none may be mounted. */
async function mountSmall(lifetime: Lifetime): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-small-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" });
  } catch {
    await rm(folder, { recursive: true });
    return undefined;
  }
  lifetime.after(async () => {
    execFileSync("umount", ["--lazy", folder]);
    await rm(folder, { recursive: true });
  });
  return folder;
}

/** Leaves no room in it. */
async function fill(folder: string): Promise<void> {
  await assert.rejects(writeFile(join(folder, "filler"), Buffer.alloc(2 * 1024 * 1024)), { code: "ENOSPC" });
}
