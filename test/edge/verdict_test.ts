import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { verdictKey } from "../../shared/tiers/object_key.ts";
import { VERDICT_MEMORY_MS } from "../../shared/tiers/verdict.ts";
import { untilRevoked } from "../support/until_revoked.ts";
import { ask } from "./ask.ts";
import { liveVerdict } from "./origin_double.ts";
import { openStage, type Stage, v1, v3 } from "./stage.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
  await stage.publish({ mediaId: "picture" });
});
after(() => stage.close());

let token = "";
let tokens = 0;
beforeEach(() => {
  tokens += 1;
  token = `token-${tokens}`;
});

/** The host as the edge sees it, which every verdict is bound to. */
const host = () => new URL(stage.edge.url).host;

const get = () => ask(stage.edge.url, v1("picture"), { token });

async function statusFor(path = v1("picture"), headers: Record<string, string> = {}): Promise<number> {
  return (await ask(stage.edge.url, path, { token, headers })).status;
}

test("scope memory: one question serves many requests, and nothing of it lies in the bucket", async () => {
  stage.origin.verdicts.set(token, { scope: "memory", verdict: {} });
  const begun = Date.now();
  for (let index = 0; index < 20; index += 1) assert.equal(await statusFor(), 200);
  const key = await verdictKey({ host: host(), token });
  const reads = (await stage.edge.bucketReads())[key] ?? 0;
  assert.equal(stage.origin.verdictsAsked(token), reads);
  assert.ok(reads <= 1 + (Date.now() - begun) / VERDICT_MEMORY_MS, `${reads} reads`);
});

test("scope memory: no longer than the verdict says", async () => {
  const exp = Date.now() + VERDICT_MEMORY_MS / 2;
  stage.origin.verdicts.set(token, { scope: "memory", verdict: { exp } });
  assert.equal(await statusFor(), 200);
  stage.origin.verdicts.delete(token);
  assert.equal((await untilRevoked(get, exp - Date.now())).status, 401);
});

test("scope memory: asked again soon, however long the verdict holds, so that a logout is seen", async () => {
  stage.origin.verdicts.set(token, { scope: "memory", verdict: {} });
  assert.equal(await statusFor(), 200);
  stage.origin.verdicts.delete(token);
  assert.equal((await untilRevoked(get, VERDICT_MEMORY_MS)).status, 401);
  assert.equal(await statusFor(), 401);
});

test("scope once: good for one request, whatever the verdict says, and so is a scope that nobody knows", async () => {
  for (const scope of ["once", "eternity" as never] as const) {
    stage.origin.verdicts.set(token, { scope, verdict: {} });
    const before = stage.origin.verdictsAsked(token);
    for (let times = 0; times < 3; times += 1) assert.equal(await statusFor(), 200);
    assert.equal(stage.origin.verdictsAsked(token), before + 3);
  }
});

test("scope bucket: the document in the bucket is the verdict, and the origin is not asked", async () => {
  const key = await verdictKey({ host: host(), token });
  await stage.edge.bucket.put(key, JSON.stringify(liveVerdict()));
  assert.equal(await statusFor(), 200);
  assert.equal(stage.origin.verdictsAsked(token), 0);
});

test("scope bucket: a logout is seen within two seconds, without asking until then", async () => {
  stage.origin.verdicts.set(token, { scope: "bucket", verdict: {} });
  const key = await verdictKey({ host: host(), token });
  const begun = Date.now();
  for (let times = 0; times < 5; times += 1) assert.equal(await statusFor(), 200);
  const asked = stage.origin.verdictsAsked(token);
  assert.ok(asked <= 1 + (Date.now() - begun) / VERDICT_MEMORY_MS, `${asked} questions`);
  await stage.edge.bucket.put(key, JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  stage.origin.verdicts.delete(token);
  assert.equal((await untilRevoked(get, VERDICT_MEMORY_MS)).status, 401);
  assert.equal(await statusFor(), 401);
});

test("an expired or unreadable document in the bucket is no verdict", async () => {
  const key = await verdictKey({ host: host(), token });
  for (const document of [JSON.stringify(liveVerdict({ exp: Date.now() - 1 })), "{", JSON.stringify({ v: 9 })]) {
    await stage.edge.bucket.put(key, document);
    assert.equal(await statusFor(), 401, document);
  }
});

test("a verdict is bound to the host and to whom the token acts as", async () => {
  stage.origin.verdicts.set(token, { scope: "memory", verdict: {} });
  assert.equal(await statusFor(), 200);
  assert.equal(await statusFor(v1("picture"), { host: "other.example" }), 200);
  assert.equal(await statusFor(`${v1("picture")}?user_id=%40a%3Aexample.org&device_id=D`), 200);
  assert.equal(stage.origin.verdictsAsked(token), 3);
  const [first, other, masqueraded] = stage.origin.received.slice(-3);
  assert.deepEqual([first?.hop?.host, other?.hop?.host], [host(), "other.example"]);
  assert.equal(masqueraded?.url, "/_mxcdn/v1/verdict?user_id=%40a%3Aexample.org&device_id=D");
  assert.equal(masqueraded?.hop?.target, masqueraded?.url);
});

test("a refusal reaches the client with everything it says, and is never remembered", async () => {
  const cases = [
    {
      status: 401,
      body: { errcode: "M_UNKNOWN_TOKEN", error: "Expired", mr_errcode: "M_UNKNOWN_TOKEN", soft_logout: true },
    },
    { status: 403, body: { errcode: "M_USER_SUSPENDED", error: "Suspended", mr_errcode: "M_USER_SUSPENDED" } },
    { status: 503, body: { errcode: "M_UNKNOWN", error: "The homeserver is down", mr_errcode: "M_UNKNOWN" } },
    { status: 404, body: { errcode: "M_UNRECOGNIZED", error: "No such host", mr_errcode: "M_UNKNOWN_HOST" } },
  ];
  for (const refusal of cases) {
    stage.origin.verdicts.set(token, refusal);
    const answer = await ask(stage.edge.url, v1("picture"), { token });
    assert.equal(answer.status, refusal.status);
    assert.deepEqual(answer.json(), refusal.body);
    assert.equal(answer.headers["cache-control"], "no-store");
  }
  stage.origin.verdicts.set(token, { scope: "memory", verdict: {} });
  assert.equal(await statusFor(), 200);
  assert.equal(stage.origin.verdictsAsked(token), cases.length + 1);
});

test("a refusal that says when to come back says so to the client", async () => {
  const body = { errcode: "M_LIMIT_EXCEEDED", error: "Too many", mr_errcode: "M_LIMIT_EXCEEDED" };
  stage.origin.verdicts.set(token, { status: 429, body, headers: { "retry-after": "7" } });
  const answer = await ask(stage.edge.url, v1("picture"), { token });
  assert.equal(answer.status, 429);
  assert.equal(answer.headers["retry-after"], "7");
  assert.equal(answer.json().retry_after_ms, 7_000);
});

test("a token that is refused on a legacy path is anonymity, whatever the code of the refusal", async () => {
  for (const [status, errcode] of [
    [401, "M_UNKNOWN_TOKEN"],
    [401, "M_UNKNOWN"],
    [403, "M_FORBIDDEN"],
  ] as const) {
    stage.origin.verdicts.set(token, { status, body: { errcode, error: "no" } });
    assert.equal(await statusFor(v3("picture")), 200, `${status} ${errcode}`);
  }
});

test("an outage on a legacy path is an outage, not anonymity", async () => {
  stage.origin.verdicts.set(token, { status: 503, body: { errcode: "M_UNKNOWN", error: "down" } });
  assert.equal(await statusFor(v3("picture")), 503);
});

test("an origin that does not know us, or does not believe us, is named as what it is: 502, never 404 or 403", async () => {
  const unknown = { errcode: "M_UNRECOGNIZED", error: "Unrecognized request" };
  const refused = { errcode: "M_FORBIDDEN", error: "Not believed" };
  for (const reply of [
    { status: 404, body: unknown },
    { status: 403, body: refused, headers: { "mxcdn-hop-refused": "age" } },
  ]) {
    stage.origin.verdicts.set(token, reply);
    const answer = await ask(stage.edge.url, v1("picture"), { token });
    assert.equal(answer.status, 502);
    assert.match(String(answer.json().error), /HOP_SECRET.*clocks/);
  }
});

test("who asks while the origin is being asked joins, also when the look into the bucket is over", async () => {
  stage.origin.verdicts.set(token, { scope: "memory", verdict: {}, afterMs: 600 });
  await stage.edge.setBucketMood({ delayMs: 400 });
  try {
    const first = statusFor();
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.deepEqual(await Promise.all([first, statusFor()]), [200, 200]);
    assert.equal(stage.origin.verdictsAsked(token), 1);
    assert.equal((await stage.edge.bucketReads())[await verdictKey({ host: host(), token })], 1);
  } finally {
    await stage.edge.setBucketMood({});
  }
});

test("200 requests with one new token at once ask the origin once, refused or not", async () => {
  for (const known of [true, false]) {
    token = `herd-${known}`;
    if (known) stage.origin.verdicts.set(token, { scope: "memory", verdict: {} });
    const statuses = await stage.edge.gather(200, () => Promise.all(Array.from({ length: 200 }, () => statusFor())));
    assert.deepEqual(new Set(statuses), new Set([known ? 200 : 401]));
    assert.equal(stage.origin.verdictsAsked(token), 1);
    assert.equal((await stage.edge.bucketReads())[await verdictKey({ host: host(), token })], 1);
  }
});
