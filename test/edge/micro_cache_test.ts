import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { descriptorKey } from "../../shared/tiers/object_key.ts";
import { until } from "../support/until.ts";
import { untilRevoked } from "../support/until_revoked.ts";
import { ask } from "./ask.ts";
import { openStage, SERVER, type Stage, TOKEN, v1 } from "./stage.ts";

/** How long the edge may remember what it read: the bound of "gone everywhere". */
const MEMORY_MS = 2_000;

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

const keyOf = (mediaId: string) => descriptorKey({ serverName: SERVER, mediaId });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function reads(mediaId: string): Promise<number> {
  return (await stage.edge.bucketReads())[keyOf(mediaId)] ?? 0;
}

test("200 requests at once read the descriptor once, and all of them are served", async () => {
  const bytes = Buffer.alloc(50_000, 7);
  await stage.publish({ mediaId: "herd", bytes });
  const answers = await stage.edge.gather(200, () =>
    Promise.all(Array.from({ length: 200 }, () => ask(stage.edge.url, v1("herd"), { token: TOKEN }))),
  );
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
  assert.ok(answers.every((answer) => answer.body.equals(bytes)));
  assert.equal(await reads("herd"), 1);
});

test("within two seconds a descriptor is read once; after them again", async () => {
  await stage.publish({ mediaId: "hot" });
  const started = Date.now();
  for (let times = 0; times < 15; times += 1) {
    assert.equal((await ask(stage.edge.url, v1("hot"), { token: TOKEN })).status, 200);
    await pause(100);
  }
  const first = await reads("hot");
  assert.ok(first <= 1 + (Date.now() - started) / MEMORY_MS, `${first} reads`);
  await stage.edge.forget();
  assert.equal((await ask(stage.edge.url, v1("hot"), { token: TOKEN })).status, 200);
  assert.equal(await reads("hot"), first + 1);
});

test("an erased media is 404 within two seconds, however often it is asked for", async () => {
  await stage.publish({ mediaId: "erased_soon" });
  assert.equal((await ask(stage.edge.url, v1("erased_soon"), { token: TOKEN })).status, 200);
  await stage.edge.bucket.put(keyOf("erased_soon"), JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  const get = () => ask(stage.edge.url, v1("erased_soon"), { token: TOKEN });
  assert.equal((await untilRevoked(get, MEMORY_MS)).status, 404);
  assert.equal((await get()).status, 404);
});

test("a slow read counts from its beginning: what it brings is not believed for two more seconds", async () => {
  await stage.publish({ mediaId: "slow" });
  await stage.edge.setBucketMood({ delayMs: 1_200 });
  const first = ask(stage.edge.url, v1("slow"), { token: TOKEN });
  await until(async () => (await reads("slow")) === 1, "the read has not begun");
  await stage.edge.setBucketMood({});
  const begun = Date.now();
  await first;
  await stage.edge.bucket.put(keyOf("slow"), JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  await pause(MEMORY_MS + 50 - (Date.now() - begun));
  assert.equal((await ask(stage.edge.url, v1("slow"), { token: TOKEN })).status, 404);
});

test("what was read while the token was being judged is read again when that took long", async () => {
  await stage.publish({ mediaId: "judged_slowly" });
  stage.origin.verdicts.set("slow", { scope: "memory", verdict: {}, afterMs: 2_500 });
  const answer = ask(stage.edge.url, v1("judged_slowly"), { token: "slow" });
  await pause(300);
  await stage.edge.bucket.put(keyOf("judged_slowly"), JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  assert.equal((await answer).status, 404);
});

test("a token that takes long to judge is judged once, and what it may see is a hit", async () => {
  await stage.publish({ mediaId: "seen_late" });
  stage.origin.verdicts.set("slower", { scope: "once", verdict: {}, afterMs: 2_500 });
  const answer = await ask(stage.edge.url, v1("seen_late"), { token: "slower" });
  assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit");
  assert.equal(stage.origin.verdictsAsked("slower"), 1);
});

test("a bucket that takes longer than its answers are believed is not believed: the origin answers", async () => {
  stage.origin.on(v1("late"), (_request, response) => void response.writeHead(404).end());
  await stage.publish({ mediaId: "late" });
  await stage.edge.setBucketMood({ delayMs: 2_600 });
  try {
    const first = ask(stage.edge.url, v1("late"), { token: TOKEN });
    await pause(900);
    const joined = ask(stage.edge.url, v1("late"), { token: TOKEN });
    await stage.edge.bucket.put(keyOf("late"), JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
    for (const answer of await Promise.all([first, joined])) {
      assert.equal(answer.status, 404);
      assert.equal(answer.headers["cache-status"], "mxcdn-edge; fwd=bypass; detail=store-slow");
    }
  } finally {
    await stage.edge.setBucketMood({});
  }
});

test("an absent descriptor is looked for again at once: the request after the origin's publication is a hit", async () => {
  stage.origin.on(v1("fresh"), async (_request, response) => {
    await stage.publish({ mediaId: "fresh", bytes: Buffer.from("published") });
    response.writeHead(200, { "content-type": "image/png" }).end("published");
  });
  const first = await ask(stage.edge.url, v1("fresh"), { token: TOKEN });
  const second = await ask(stage.edge.url, v1("fresh"), { token: TOKEN });
  assert.equal(first.headers["cache-status"], "mxcdn-edge; fwd=uri-miss");
  assert.equal(second.headers["cache-status"], "mxcdn-edge; hit");
  assert.equal(stage.origin.asked(v1("fresh")), 1);
});

test("others are served although the client that began a read has left", async () => {
  await stage.publish({ mediaId: "left" });
  await stage.edge.setBucketMood({ delayMs: 400 });
  const { hostname, port } = new URL(stage.edge.url);
  const headers = { authorization: `Bearer ${TOKEN}` };
  const leaver = request({ hostname, port, path: v1("left"), headers, agent: false });
  leaver.on("error", () => undefined);
  leaver.end();
  await pause(100);
  const others = Promise.all(Array.from({ length: 20 }, () => ask(stage.edge.url, v1("left"), { token: TOKEN })));
  await pause(50);
  leaver.destroy();
  const answers = await others;
  await stage.edge.setBucketMood({});
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
  assert.ok((await reads("left")) < 20, "some have joined");
});
