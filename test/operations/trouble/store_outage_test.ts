import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, beforeEach, describe, test } from "node:test";
import { refuse, startFailingStore } from "../../contract/stores/failing_store.ts";
import { ACCOUNTS, startOrigin, type TestOrigin } from "../../support/app.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

/** An origin whose media lies in an S3 store that fails: what clients hear, and what they may rely on. */

const USER = "token_of_user";
const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const thumbnail = (id: string) => `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`;

type Mood = "well" | "failing" | "full" | "breaking off";

/** Keeps objects, as long as it is well. */
class Store {
  readonly objects = new Map<string, Buffer>();
  mood: Mood = "well";

  answer(request: IncomingMessage & { body: Buffer }, response: ServerResponse): void {
    const key = request.url?.split("?")[0] ?? "";
    const found = this.objects.get(key);
    if (this.mood === "failing") refuse(response, 503, "SlowDown");
    else if (request.method === "PUT") this.#put(key, request.body, response);
    else if (!found) refuse(response, 404, "NoSuchKey");
    else this.#give(found, request.method === "HEAD", response);
  }

  #put(key: string, body: Buffer, response: ServerResponse): void {
    if (this.mood === "full") refuse(response, 507, "XMinioStorageFull");
    else {
      this.objects.set(key, body);
      response.writeHead(200, { etag: '"1"' }).end();
    }
  }

  #give(body: Buffer, headOnly: boolean, response: ServerResponse): void {
    response.writeHead(200, { "content-length": body.byteLength });
    if (headOnly || this.mood === "well") response.end(headOnly ? undefined : body);
    else response.write(body.subarray(0, body.byteLength / 2), () => response.destroy());
  }
}

describe("media in an S3 store that fails", () => {
  const lifetime = lifetimeOfSuite();
  const store = new Store();
  let origin: TestOrigin;
  let tempPath: string;
  before(async () => {
    const { options } = await startFailingStore(lifetime, (request, response) => store.answer(request, response));
    const homeserver = await startHomeserver(ACCOUNTS);
    lifetime.after(() => homeserver.close());
    tempPath = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
    lifetime.after(() => rm(tempPath, { recursive: true, force: true }));
    const opts = JSON.stringify({ ...options, tempPath });
    const text = `homeserver: example.org\ndatastores:\n  - { id: s3, type: s3, forKinds: [all], opts: ${opts} }\n`;
    origin = await startOrigin(lifetime, {
      homeservers: { "example.org": homeserver.url },
      files: [{ name: "domain.yaml", text }],
    });
  });
  beforeEach(() => {
    store.mood = "well";
  });

  const get = (path: string) => ask(origin.url, path, { token: USER });
  const send = (body: Buffer) => ask(origin.url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body });

  function isTrouble(heard: Heard, status = 503): void {
    assert.equal(heard.status, status, heard.body.toString());
    assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    assert.notEqual(jsonOf(heard).error, "Internal server error");
    assert.ok(Number(heard.headers["retry-after"]) > 0);
    assert.equal(heard.headers["cache-control"], "no-store");
  }

  async function nothingIsStaged(): Promise<void> {
    await until(async () => (await listFiles(tempPath)).length === 0, "no temporary file is left");
  }

  test("is 503 with a time to retry, and there again when the store is well", async () => {
    const id = await upload(origin.url, USER, randomBytes(5_000));
    const photo = await upload(origin.url, USER, await makePhoto(100, 100), { type: "image/jpeg" });
    store.mood = "failing";
    for (const path of [download(id), thumbnail(photo)]) isTrouble(await get(path));
    store.mood = "well";
    for (const path of [download(id), thumbnail(photo)]) assert.equal((await get(path)).status, 200);
  });

  test("what cannot be stored is not acknowledged, also where it was there already and nobody can tell", async () => {
    const known = randomBytes(5_000);
    await upload(origin.url, USER, known);
    store.mood = "failing";
    const counted = async () => (await origin.app.db.query("SELECT FROM media")).rows.length;
    const before = await counted();
    for (const body of [known, randomBytes(5_000)]) isTrouble(await send(body));
    assert.equal(await counted(), before);
    await nothingIsStaged();
    store.mood = "well";
    assert.equal((await send(known)).status, 200);
  });

  test("what there is no room for is 507 and says so", async () => {
    store.mood = "full";
    const heard = await send(randomBytes(5_000));
    isTrouble(heard, 507);
    assert.match(String(jsonOf(heard).error), /no room left/);
    await nothingIsStaged();
  });

  test("what breaks off on its way is broken off, not cut short; nothing is made of half of it", async () => {
    const id = await upload(origin.url, USER, randomBytes(500_000));
    const photo = await upload(origin.url, USER, await makePhoto(1_000, 1_000), { type: "image/jpeg" });
    store.mood = "breaking off";
    await assert.rejects(get(download(id)));
    isTrouble(await get(thumbnail(photo)));
    store.mood = "well";
    assert.equal((await get(thumbnail(photo))).status, 200);
  });

  test("an object that is lost is stored anew when its bytes come again, and one that is there is not", async () => {
    const body = randomBytes(5_000);
    const id = await upload(origin.url, USER, body);
    const [key] = [...store.objects.keys()].slice(-1);
    const puts = store.objects.size;
    await upload(origin.url, USER, body);
    assert.equal(store.objects.size, puts);
    store.objects.delete(key ?? "");
    isTrouble(await get(download(id)));
    const again = await upload(origin.url, USER, body);
    assert.ok((await get(download(again))).body.equals(body));
  });
});
