import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, told, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

/** Tokens as clients send them, through both tiers; and what of them is kept. */

const USER = "token_of_user";
const BODY = "words ".repeat(50);
const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const legacy = (id: string) => `/_matrix/media/v3/download/${id}`;

describe("a token that no header can carry", () => {
  const lifetime = lifetimeOfSuite();
  const odd = [
    "%E2%82%AC",
    "a%20b",
    "a%0Ab",
    "a%0D%0Ax-evil:1",
    "%00",
    "%F0%9F%98%80",
    "x".repeat(1_025),
    "x".repeat(8_000),
  ];
  let stack: TestStack;
  let id: string;
  before(async () => {
    stack = await startStack(lifetime, { yaml: "accessTokens: { maxCacheTimeSeconds: 0 }" });
    id = await upload(stack.tiers.origin, USER, BODY);
  });

  test("is unknown at both tiers, with the same answer, and nobody on the older paths", async () => {
    for (const token of odd) {
      for (const path of [download(id), "/_matrix/client/v1/media/config", "/_matrix/client/versions"]) {
        const [one, other] = await Promise.all(
          Object.values(stack.tiers).map((base) => ask(base, `${path}?access_token=${token}`)),
        );
        assert.ok(one && other);
        assert.deepEqual(told(one), told(other), token);
        assert.deepEqual([one.status, jsonOf(one).errcode], [401, "M_UNKNOWN_TOKEN"], `${path} ${token}`);
      }
      for (const base of Object.values(stack.tiers)) {
        const heard = await ask(base, `${legacy(id)}?access_token=${token}`);
        assert.deepEqual([heard.status, jsonOf(heard).errcode], [404, "M_NOT_FOUND"], "what is frozen, nobody sees");
      }
    }
  });

  test("keeps nobody else from being judged, however often it comes", async () => {
    for (const base of Object.values(stack.tiers)) {
      const before = stack.homeserver.asked.length;
      for (let times = 0; times < 40; times += 1) {
        await ask(base, `${legacy(id)}?access_token=${odd[times % odd.length]}`);
      }
      assert.equal(stack.homeserver.asked.length, before, "the homeserver is not asked");
      assert.equal((await ask(base, download(id), { token: USER })).status, 200);
    }
  });

  test("nor can a user or a device be of such characters: 400 at both tiers", async () => {
    for (const query of ["user_id=%00", "device_id=a%0Ab", `user_id=${"x".repeat(300)}`]) {
      for (const base of Object.values(stack.tiers)) {
        const heard = await ask(base, `${download(id)}?${query}`, { token: USER });
        assert.deepEqual([heard.status, jsonOf(heard).errcode], [400, "M_INVALID_PARAM"], query);
      }
    }
  });
});

describe("what is kept of a token", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  let id: string;
  before(async () => {
    stack = await startStack(lifetime);
    id = await upload(stack.tiers.origin, USER, BODY);
  });

  const rows = async () => (await stack.origin.app.db.query("SELECT key FROM edge_verdicts")).rows.length;
  const documents = async () => (await stack.edge.bucket.list({ prefix: "a/" })).objects.length;
  const get = async (query = "", headers: Record<string, string> = {}) =>
    (await ask(stack.tiers.edge, download(id) + query, { token: USER, headers })).status;

  test("that is refused: nothing, neither in the database nor in the bucket", async () => {
    const before = [await rows(), await documents()];
    for (let times = 0; times < 10; times += 1) {
      assert.equal((await ask(stack.tiers.edge, download(id), { token: `guess_${times}` })).status, 401);
    }
    assert.deepEqual([await rows(), await documents()], before);
  });

  test("that names devices which are not its own: one verdict; and for ever new hosts, not many", async () => {
    assert.equal(await get(), 200);
    const before = [await rows(), await documents()];
    for (let index = 0; index < 15; index += 1) {
      assert.equal(await get(`?device_id=D${index}`), 200);
      assert.equal(await get(`?user_id=%40u${index}%3Aexample.org`), 200);
    }
    assert.deepEqual([await rows(), await documents()], before);
    for (let index = 0; index < 30; index += 1) assert.equal(await get("", { host: `h${index}.example` }), 200);
    assert.deepEqual([await rows(), await documents()], [20, 20]);
  });
});

describe("a homeserver that is to be asked each time", () => {
  const lifetime = lifetimeOfSuite();

  test("is, by both tiers, and nothing is remembered", async () => {
    const stack = await startStack(lifetime, { yaml: "accessTokens: { maxCacheTimeSeconds: 0 }" });
    const id = await upload(stack.tiers.origin, USER, BODY);
    // The edge reads media from its bucket; the token it does not know.
    await untilHit(() => ask(stack.tiers.edge, download(id), { token: USER }));
    for (const [tier, base] of Object.entries(stack.tiers)) {
      const before = stack.homeserver.asked.length;
      for (let times = 0; times < 3; times += 1) {
        const heard = await ask(base, download(id), { token: USER });
        assert.equal(heard.status, 200);
        if (tier === "edge") assert.match(heard.headers["cache-status"] ?? "", /hit/);
      }
      assert.equal(stack.homeserver.asked.length, before + 3, tier);
    }
    stack.homeserver.accounts.delete(USER);
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, download(id), { token: USER })).status, 401);
    }
  });
});

describe("a token that is remembered for half a minute", () => {
  const lifetime = lifetimeOfSuite();

  test("is void at the edge two seconds after its logout", async () => {
    const stack = await startStack(lifetime, { yaml: "accessTokens: { maxCacheTimeSeconds: 30 }" });
    const id = await upload(stack.tiers.origin, USER, BODY);
    for (let times = 0; times < 2; times += 1) {
      assert.equal((await ask(stack.tiers.edge, download(id), { token: USER })).status, 200);
    }
    const out = await ask(stack.tiers.edge, "/_matrix/client/v3/logout", { method: "POST", token: USER, body: "" });
    assert.equal(out.status, 200);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const heard = await ask(stack.tiers.edge, download(id), { token: USER });
    assert.deepEqual([heard.status, jsonOf(heard).errcode], [401, "M_UNKNOWN_TOKEN"]);
  });
});
