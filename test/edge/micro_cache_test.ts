import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { descriptorKey } from "../../shared/object_key.ts";
import { ask } from "./ask.ts";
import { openStage, SERVER, type Stage, TOKEN, v1 } from "./stage.ts";

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
  while (Date.now() - started < 1_700) {
    assert.equal((await ask(stage.edge.url, v1("hot"), { token: TOKEN })).status, 200);
    await pause(100);
  }
  assert.equal(await reads("hot"), 1);
  await pause(2_050 - (Date.now() - started));
  assert.equal((await ask(stage.edge.url, v1("hot"), { token: TOKEN })).status, 200);
  assert.equal(await reads("hot"), 2);
});

test("an erased media is 404 within two seconds, however often it is asked for", async () => {
  await stage.publish({ mediaId: "erased_soon" });
  assert.equal((await ask(stage.edge.url, v1("erased_soon"), { token: TOKEN })).status, 200);
  await stage.edge.bucket.put(keyOf("erased_soon"), JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  const confirmed = Date.now();
  let status = 200;
  while (status === 200 && Date.now() - confirmed < 2_500) {
    status = (await ask(stage.edge.url, v1("erased_soon"), { token: TOKEN })).status;
    await pause(20);
  }
  assert.equal(status, 404);
  assert.ok(Date.now() - confirmed < 2_100, `it took ${Date.now() - confirmed} ms`);
  assert.equal((await ask(stage.edge.url, v1("erased_soon"), { token: TOKEN })).status, 404);
});

test("a slow read counts from its beginning: what it brings is not believed for two more seconds", async () => {
  await stage.publish({ mediaId: "slow" });
  await stage.edge.setBucketMood({ delayMs: 1_200 });
  const first = ask(stage.edge.url, v1("slow"), { token: TOKEN });
  await pause(100);
  await stage.edge.setBucketMood({});
  const begun = Date.now();
  await first;
  await stage.edge.bucket.put(keyOf("slow"), JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  await pause(2_050 - (Date.now() - begun));
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
  assert.equal(await reads("left"), 1);
});
