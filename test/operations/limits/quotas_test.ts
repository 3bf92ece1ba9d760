import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { before, describe, test } from "node:test";
import { type QuotaRules, Quotas } from "../../../origin/access/limits/quotas.ts";
import { startOrigin, type TestOrigin } from "../../support/app.ts";
import { databaseKinds, newDatabase } from "../../support/database.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

const noQuery = { query: () => Promise.reject(new Error("no query")) };
const quotaOf = (uploads: QuotaRules, userId: string) => new Quotas(noQuery as never).of({ uploads }, userId);

describe("the quota of a user", () => {
  const rule = (glob: string, more: object = {}) => ({ glob, maxBytes: 0, maxFiles: 0, maxPending: 0, ...more });
  const none = { maxBytes: 0, maxFiles: 0, maxPending: 5 };

  test("is that of the first rule that matches", () => {
    const users = [
      rule("@alice:*", { maxBytes: 1 }),
      rule("@*:example.org", { maxBytes: 2 }),
      rule("*", { maxBytes: 3 }),
    ];
    const quota = (userId: string) => quotaOf({ maxPending: 5, quotas: { enabled: true, users } }, userId).maxBytes;
    assert.equal(quota("@alice:example.org"), 1);
    assert.equal(quota("@bob:example.org"), 2);
    assert.equal(quota("@bob:other.org"), 3);
  });

  test("is no limit where no rule matches, or quotas are off", () => {
    const users = [rule("@alice:*", { maxBytes: 1, maxFiles: 1, maxPending: 1 })];
    assert.deepEqual(quotaOf({ maxPending: 5, quotas: { enabled: true, users } }, "@bob:example.org"), none);
    assert.deepEqual(quotaOf({ maxPending: 5, quotas: { enabled: false, users } }, "@alice:example.org"), none);
  });

  test("leaves uploads.maxPending in force where it names no number of its own", () => {
    const users = [rule("@alice:*"), rule("*", { maxPending: 7 })];
    const quota = (userId: string) => quotaOf({ maxPending: 5, quotas: { enabled: true, users } }, userId);
    assert.deepEqual(quota("@alice:example.org"), none);
    assert.equal(quota("@bob:example.org").maxPending, 7);
  });
});

const QUOTAS = `
uploads:
  minBytes: 0
  quotas:
    enabled: true
    users:
      - { glob: "@bytes*:*", maxBytes: 1000 }
      - { glob: "@files*:*", maxBytes: 0, maxFiles: 3 }
      - { glob: "@pending*:*", maxPending: 2 }
      - { glob: "@free*:*" }
      - { glob: "*", maxBytes: 1, maxFiles: 1 }
`;
const UPLOAD = "/_matrix/media/v3/upload";
const NAMES = ["bytes1", "bytes2", "bytes3", "bytes4", "bytes5", "files1", "files2", "pending1", "free1"];

for (const kind of databaseKinds()) {
  describe(`quotas on ${kind.name}`, { skip: kind.skip }, () => {
    const lifetime = lifetimeOfSuite();
    let origin: TestOrigin;

    before(async () => {
      const homeserver = await startHomeserver(
        Object.fromEntries(NAMES.map((name) => [name, { user_id: `@${name}:example.org` }])),
      );
      lifetime.after(() => homeserver.close());
      const database = kind.name === "postgres" ? await newDatabase(8) : undefined;
      if (database) lifetime.after(() => database.drop());
      origin = await startOrigin(lifetime, {
        homeservers: { "example.org": homeserver.url },
        yaml: QUOTAS,
        postgres: database?.url,
      });
    });
    const store = (token: string, bytes: number) =>
      ask(origin.url, UPLOAD, { method: "POST", token, body: randomBytes(bytes) });

    test("of bytes: up to the last one, then 403 until something is deleted", async () => {
      const id = await upload(origin.url, "bytes1", Buffer.alloc(600, 1));
      const refused = await store("bytes1", 401);
      assert.equal(refused.status, 403);
      const { errcode, mr_errcode, limit } = jsonOf(refused);
      assert.deepEqual([errcode, mr_errcode, limit], ["M_FORBIDDEN", "M_QUOTA_EXCEEDED", "uploads.quotas"]);
      assert.equal((await store("bytes1", 400)).status, 200);
      assert.equal((await store("bytes1", 1)).status, 403);
      const path = `/_matrix/media/unstable/download/${id}`;
      assert.equal((await ask(origin.url, path, { method: "DELETE", token: "bytes1" })).status, 200);
      assert.equal((await store("bytes1", 600)).status, 200);
    });

    test("of bytes: the same bytes again count again", async () => {
      await upload(origin.url, "bytes2", Buffer.alloc(600, 2));
      const again = await ask(origin.url, UPLOAD, { method: "POST", token: "bytes2", body: Buffer.alloc(600, 2) });
      assert.equal(again.status, 403);
    });

    test("of bytes: refused before the body is read, where it says how long it is", async () => {
      assert.equal(await send(origin, "bytes3", Buffer.alloc(1), { announced: 5_000_000 }), 403);
    });

    test("of bytes: a body that does not say how long it is, by what arrives", async () => {
      assert.equal(await send(origin, "bytes4", Buffer.alloc(1001)), 403);
      assert.equal(await send(origin, "bytes4", Buffer.alloc(1000)), 200);
    });

    test("of bytes: none gets beyond, however many come at once", async () => {
      const heard = await Promise.all(Array.from({ length: 20 }, () => store("bytes5", 150)));
      assert.deepEqual(tally(heard), { 200: 6, 403: 14 });
      const { rows } = await origin.app.db.query("SELECT bytes, files FROM user_usage WHERE user_id = $1", [
        "@bytes5:example.org",
      ]);
      assert.deepEqual(rows, [{ bytes: 900, files: 6 }]);
    });

    test("of files: counted where bytes are not limited (MMR forgot them there), and none gets beyond at once", async () => {
      for (let count = 0; count < 3; count += 1) assert.equal((await store("files1", 5000)).status, 200);
      assert.equal((await store("files1", 1)).status, 403);
      const heard = await Promise.all(Array.from({ length: 12 }, () => store("files2", 20)));
      assert.deepEqual(tally(heard), { 200: 3, 403: 9 });
    });

    test("of 0 bytes are no limit", async () => {
      for (let count = 0; count < 5; count += 1) assert.equal((await store("free1", 100_000)).status, 200);
    });

    test("of ids that wait: 429 that says when the first expires, and none gets beyond at once", async () => {
      const create = () => ask(origin.url, "/_matrix/media/v1/create", { method: "POST", token: "pending1" });
      const heard = await Promise.all(Array.from({ length: 10 }, create));
      assert.deepEqual(tally(heard), { 200: 2, 429: 8 });
      const body = jsonOf(await create());
      assert.equal(body.limit, "uploads.maxPending");
      assert.equal(body.limit_subject, "user @pending1:example.org");
      assert.ok((body.retry_after_ms as number) > 1_700_000 && (body.retry_after_ms as number) <= 1_800_000);
    });
  });
}

/** Sends a body in chunks, or announces a longer one, of which only this comes; the status of the answer. */
async function send(
  origin: TestOrigin,
  token: string,
  body: Buffer,
  options: { announced?: number } = {},
): Promise<number> {
  const { announced } = options;
  const headers = {
    authorization: `Bearer ${token}`,
    ...(announced === undefined ? {} : { "content-length": String(announced) }),
  };
  return await new Promise((resolve, reject) => {
    const sending = request(`${origin.url}${UPLOAD}`, { method: "POST", headers, agent: false });
    sending.once("response", (response) => {
      resolve(response.statusCode ?? 0);
      response.resume();
      sending.destroy();
    });
    sending.once("error", reject);
    sending.write(body);
    if (announced === undefined) sending.end();
  });
}

function tally(heard: readonly Heard[]): Record<number, number> {
  const counted: Record<number, number> = {};
  for (const { status } of heard) counted[status] = (counted[status] ?? 0) + 1;
  return counted;
}
