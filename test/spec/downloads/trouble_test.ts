import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { bytes, CREATE, download, newUser } from "../uploads/stage.ts";

/** Checklist #10 to #12 and #15: requests that are too many, and stores that are out of order. */

const USER = "token_of_user";
const CONFIG = "/_matrix/client/v1/media/config";

describe("too many requests", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  before(async () => {
    stack = await startStack(lifetime, { yaml: "rateLimit: { requestsPerSecond: 0.01, burst: 3 }\n" });
  });

  for (const tier of ["origin", "edge"] as const) {
    test(`#10 #11 #12 #69 are 429 M_LIMIT_EXCEEDED with the time to wait, twice, at the ${tier}`, async () => {
      for (const [method, path] of [
        ["GET", CONFIG],
        ["POST", CREATE],
        ["GET", download("example.org/nothing")],
      ] as const) {
        const token = newUser(stack.homeserver);
        const statuses = [];
        for (let times = 0; times < 3; times += 1) {
          statuses.push((await ask(stack.tiers[tier], path, { method, token })).status);
        }
        assert.ok(!statuses.includes(429), `${path}: ${statuses}`);
        const heard = await ask(stack.tiers[tier], path, { method, token });
        assert.equal(heard.status, 429, path);
        const body = jsonOf(heard);
        assert.equal(body.errcode, "M_LIMIT_EXCEEDED");
        assert.ok(Number.isInteger(body.retry_after_ms) && Number(body.retry_after_ms) > 0);
        const seconds = Number(heard.headers["retry-after"]);
        assert.equal(seconds, Math.ceil(Number(body.retry_after_ms) / 1000));
        assert.equal(heard.headers["access-control-allow-origin"], "*");
      }
    });
  }
});

describe("a datastore that has lost everything", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  let ids: { file: string; photo: string };
  before(async () => {
    stack = await startStack(lifetime);
    ids = {
      file: await upload(stack.tiers.origin, USER, bytes()),
      photo: await upload(stack.tiers.origin, USER, await makePhoto(300, 300), { type: "image/jpeg" }),
    };
    await rm(`${stack.origin.folder}/media`, { recursive: true });
  });

  for (const tier of ["origin", "edge"] as const) {
    test(`#15 is 5xx M_UNKNOWN at the ${tier}, never 404, and says nothing of paths`, async () => {
      const paths = [
        download(ids.file),
        download(ids.photo),
        `/_matrix/client/v1/media/thumbnail/${ids.photo}?width=32&height=32&method=crop`,
      ];
      for (const path of paths) isTrouble(await ask(stack.tiers[tier], path, { token: USER }), stack.origin.folder);
      const headers = { range: "bytes=0-9" };
      isTrouble(await ask(stack.tiers[tier], download(ids.file), { token: USER, headers }), stack.origin.folder);
    });
  }
});

describe("a database out of order", () => {
  test("#15 is 5xx M_UNKNOWN, never 401 or 404", async (t) => {
    const stack = await startStack(t);
    const id = await upload(stack.tiers.origin, USER, bytes());
    await stack.origin.app.db.exec("DROP SCHEMA public CASCADE");
    for (const base of Object.values(stack.tiers)) {
      isTrouble(await ask(base, download(id), { token: USER }), stack.origin.folder);
      const sent = await ask(base, "/_matrix/media/v3/upload", { method: "POST", token: USER, body: bytes() });
      isTrouble(sent, stack.origin.folder);
    }
  });
});

function isTrouble(heard: Heard, folder: string): void {
  assert.ok(heard.status >= 500, String(heard.status));
  const body = jsonOf(heard);
  assert.equal(body.errcode, "M_UNKNOWN");
  assert.ok(!heard.body.includes(folder) && !heard.body.includes("ENOENT"), heard.body.toString());
  assert.equal(heard.headers["cache-control"], "no-store");
}
