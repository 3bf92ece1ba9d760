import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { before, describe, test } from "node:test";
import { hopHeaders } from "../../../shared/tiers/hop.ts";
import { HOP_SECRET, startOrigin, startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, told, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

const USER = "token_of_user";
const lifetime = lifetimeOfSuite();
let stack: TestStack;

before(async () => {
  stack = await startStack(lifetime);
});

const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;

describe("a homeserver in trouble", () => {
  test("that refuses a token: 401 at both tiers with its soft_logout, asked anew each time", async () => {
    const id = await upload(stack.tiers.origin, USER, "refused ".repeat(50));
    stack.homeserver.answer = {
      status: 401,
      body: { errcode: "M_UNKNOWN_TOKEN", error: "Token is not active", soft_logout: true },
    };
    for (const base of Object.values(stack.tiers)) {
      const before = stack.homeserver.asked.length;
      for (let times = 0; times < 2; times += 1) {
        const heard = await ask(base, download(id), { token: "expired" });
        assert.equal(heard.status, 401);
        assert.equal(jsonOf(heard).errcode, "M_UNKNOWN_TOKEN");
        assert.equal(jsonOf(heard).soft_logout, true);
      }
      assert.ok(stack.homeserver.asked.length >= before + 2, "a refusal is never remembered");
    }
    stack.homeserver.answer = undefined;
    stack.homeserver.accounts.set("expired", { user_id: "@back:example.org" });
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, download(id), { token: "expired" })).status, 200, "valid again at once");
    }
  });

  test("that is down: 503 and never 401", async () => {
    const id = await upload(stack.tiers.origin, USER, "down ".repeat(50));
    stack.homeserver.answer = { status: 502, body: "bad gateway" };
    for (const base of Object.values(stack.tiers)) {
      const heard = await ask(base, download(id), { token: "unseen" });
      assert.equal(heard.status, 503);
      assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
      assert.ok(heard.headers["retry-after"]);
    }
    stack.homeserver.answer = undefined;
  });
});

test("a homeserver that takes its time is asked once for each request, and what it allows is a hit", async () => {
  const slow = await startStack(lifetime, { yaml: "accessTokens: { maxCacheTimeSeconds: 0 }" });
  const id = await upload(slow.tiers.edge, USER, "slow ".repeat(50));
  await untilHit(() => ask(slow.tiers.edge, download(id), { token: USER }));
  slow.homeserver.delayMs = 2_500;
  const before = slow.homeserver.asked.length;
  const heard = await ask(slow.tiers.edge, download(id), { token: USER });
  assert.equal(heard.headers["cache-status"], "mxcdn-edge; hit");
  assert.equal(slow.homeserver.asked.length, before + 1);
});

describe("an edge bucket that takes everything and says nothing", () => {
  test("keeps no answer: what cannot be published now is published late", async () => {
    const silent = createServer((socket) => lifetime.after(() => socket.destroy())).listen(0, "127.0.0.1");
    lifetime.after(() => silent.close());
    await once(silent, "listening");
    const origin = await startOrigin(lifetime, {
      homeservers: { "example.org": stack.homeserver.url },
      yaml: `
edge:
  enabled: true
  hopSecret: ${HOP_SECRET}
  bucket: { endpoint: "http://127.0.0.1:${(silent.address() as AddressInfo).port}", bucketName: b, accessKeyId: a, accessSecret: s }
`,
    });
    const path = download(await upload(origin.url, USER, "words ".repeat(50)));
    for (const method of ["GET", "HEAD"]) {
      const hop = {
        method,
        target: path,
        host: "example.org",
        clientAddress: "192.0.2.1",
        timeMs: Date.now(),
        requestId: "1",
      };
      const began = Date.now();
      const heard = await ask(origin.url, path, { method, token: USER, headers: await hopHeaders(HOP_SECRET, hop) });
      assert.equal(heard.status, 200);
      assert.ok(Date.now() - began < 3_000, `${method} was answered after ${Date.now() - began} ms`);
    }
  });
});

describe("an origin that is gone", () => {
  test("what was cached is still served with the same headers; what was not gets an error at once, with Retry-After", async () => {
    const kept = await upload(stack.tiers.origin, USER, "kept ".repeat(100), { type: "text/plain", name: "kept.txt" });
    const lost = await upload(stack.tiers.origin, USER, "lost ".repeat(100));
    const before = await untilHit(() => ask(stack.tiers.edge, download(kept), { token: USER }));

    await stack.origin.app.close();
    const still = await ask(stack.tiers.edge, download(kept), { token: USER });
    assert.deepEqual(told(still), told(before));
    const asked = Date.now();
    const unknown = await ask(stack.tiers.edge, download(lost), { token: USER });
    assert.ok([502, 504].includes(unknown.status), String(unknown.status));
    assert.equal(jsonOf(unknown).errcode, "M_UNKNOWN");
    assert.ok(unknown.headers["retry-after"]);
    assert.ok(Date.now() - asked < 10_000, "no hang");
  });
});
