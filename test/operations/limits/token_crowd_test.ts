import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { TokenQuestions } from "../../../origin/access/tokens/token_questions.ts";
import { isFailure } from "../../../shared/matrix/failure.ts";
import { HOP_PATHS, hopHeaders } from "../../../shared/tiers/hop.ts";
import { HOP_SECRET, startStack, type TestStack } from "../../support/app.ts";
import { ask, type Heard, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";

/** Crowds that bring tokens which nobody has: who brings a good one is checked all the same. */

const CONFIG = "/_matrix/client/v1/media/config";
const CROWD = "198.51.100.1";
const USER = "token_of_user";
const NEWCOMER = "token_of_other";

describe("a crowd of bad tokens from one address, with a homeserver that holds them up", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  before(async () => {
    stack = await startStack(lifetime, { yaml: "accessTokens: { maxCacheTimeSeconds: 0 }" });
  });

  const get = (token: string, address: string) =>
    ask(stack.tiers.origin, CONFIG, { token, headers: { "x-forwarded-for": address } });

  /** A crowd whose tokens the homeserver is still being asked about, and how to let them go. */
  async function gather(): Promise<() => Promise<Heard[]>> {
    const gate = Promise.withResolvers<void>();
    stack.homeserver.beforeAnswer = () => gate.promise;
    const asked = stack.homeserver.asked.length;
    const crowd = Array.from({ length: 300 }, (_, index) => get(`bad_${asked}_${index}`, CROWD));
    await until(() => stack.homeserver.asked.length >= asked + 16, "the homeserver is being asked");
    return async () => {
      gate.resolve();
      return await Promise.all(crowd);
    };
  }

  test("keeps waiting neither whose token was good before, from the same address, nor a newcomer from another", async () => {
    assert.equal((await get(USER, CROWD)).status, 200);
    const letGo = await gather();
    const passed: string[] = [];
    stack.homeserver.beforeAnswer = undefined;
    for (const [token, address] of [
      [USER, CROWD],
      [NEWCOMER, "203.0.113.7"],
    ] as const) {
      assert.equal((await get(token, address)).status, 200);
      passed.push(token);
    }
    assert.deepEqual(passed, [USER, NEWCOMER], "while the crowd waits");
    const heard = await letGo();
    assert.deepEqual(new Set(heard.map(({ status }) => status)), new Set([401]));
  });
});

describe("many failures from one address", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  before(async () => {
    const limits =
      "rateLimit: { requestsPerSecond: 1000, burst: 1000, overall: { requestsPerSecond: 0.01, burst: 5 } }";
    stack = await startStack(lifetime, { yaml: `accessTokens: { maxCacheTimeSeconds: 0 }\n${limits}` });
  });

  const get = (token: string | undefined, address: string) =>
    ask(stack.tiers.origin, CONFIG, { token, headers: { "x-forwarded-for": address } });

  const verdict = async (token: string, clientAddress: string) => {
    const hop = { method: "POST", target: HOP_PATHS.verdict, host: "example.org", clientAddress, requestId: "id" };
    const headers = await hopHeaders(HOP_SECRET, { ...hop, timeMs: Date.now() });
    return await ask(stack.tiers.origin, HOP_PATHS.verdict, { method: "POST", token, headers });
  };

  for (const [way, send] of Object.entries({ "at the origin": get, "by way of the edge": verdict })) {
    test(`are answered 429 before the homeserver is asked, ${way}; a token that was good before is`, async () => {
      const address = way === "at the origin" ? "198.51.100.2" : "198.51.100.3";
      const user = way === "at the origin" ? USER : NEWCOMER;
      assert.equal((await send(user, address)).status, 200);
      for (let count = 0; count < 5; count += 1) assert.equal((await send(`bad_${count}`, address)).status, 401);
      const asked = stack.homeserver.asked.length;
      const refused = await send("bad_more", address);
      assert.deepEqual([refused.status, jsonOf(refused).errcode], [429, "M_LIMIT_EXCEEDED"]);
      assert.equal(jsonOf(refused).limit_subject, `address ${address}`);
      assert.equal(stack.homeserver.asked.length, asked);
      assert.equal((await send(user, address)).status, 200);
      assert.equal((await send("bad_elsewhere", "198.51.100.4")).status, 401);
    });
  }

  test("count also where no token is brought", async () => {
    const statuses = [];
    for (let count = 0; count < 7; count += 1) statuses.push((await get(undefined, "198.51.100.5")).status);
    assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429]);
  });

  test("are none where a token has expired, or its user is locked", async () => {
    stack.homeserver.accounts.set("locked", { user_id: "@locked:example.org", locked: true });
    for (let count = 0; count < 10; count += 1) {
      assert.equal(jsonOf(await get("locked", "198.51.100.6")).errcode, "M_USER_LOCKED");
    }
  });
});

test("what waits too long is refused as busy with a time to retry: first of those who want most", async () => {
  const bounds = { atOnce: 2, waiting: 4, waitMs: 60_000 };
  const questions = new TokenQuestions({ clock: Date.now, checkFailures: async () => undefined, bounds });
  const gate = Promise.withResolvers<void>();
  const judge = (tokenHash: string, clientAddress: string) =>
    questions
      .judge({ serverName: "example.org", tokenHash, clientAddress }, () => gate.promise)
      .then(
        () => "judged",
        (error: unknown) => (isFailure(error) ? [error.kind, (error.retryAfterMs ?? 0) > 0] : error),
      );
  const crowd = Array.from({ length: 20 }, (_, index) => judge(`bad ${index}`, "192.0.2.1"));
  const newcomer = judge("good", "192.0.2.2");
  gate.resolve();
  assert.equal(await newcomer, "judged");
  const outcomes = await Promise.all(crowd);
  assert.deepEqual(
    outcomes.filter((one) => one !== "judged"),
    Array.from({ length: outcomes.filter((one) => one !== "judged").length }, () => ["busy", true]),
  );
  assert.ok(outcomes.includes("judged") && outcomes.some((one) => one !== "judged"));
});
