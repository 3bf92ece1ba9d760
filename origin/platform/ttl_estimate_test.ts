import assert from "node:assert/strict";
import { test } from "node:test";
import { Estimate } from "./ttl.ts";

const TTL_MS = 1_000;

/** An estimate whose questions the test answers itself. */
function stage() {
  const asked: PromiseWithResolvers<string>[] = [];
  const errors: unknown[] = [];
  const world = { nowMs: 5, asked, errors, estimate: async () => "" };
  const estimate = new Estimate<string>({
    clock: () => world.nowMs,
    ttlMs: TTL_MS,
    fallback: "nothing",
    onError: (error) => errors.push(error),
    ask() {
      const question = Promise.withResolvers<string>();
      asked.push(question);
      return question.promise;
    },
  });
  world.estimate = () => estimate.get();
  return world;
}

test("the first answer is waited for, once for all who come", async () => {
  const { asked, estimate } = stage();
  const given = [estimate(), estimate(), estimate()];
  asked[0]?.resolve("one");
  assert.deepEqual(await Promise.all(given), ["one", "one", "one"]);
  assert.equal(asked.length, 1);
});

test("once it is old, the old one is given while another is asked for", async () => {
  const world = stage();
  const before = world.estimate();
  world.asked[0]?.resolve("one");
  await before;
  world.nowMs += TTL_MS;
  assert.equal(await world.estimate(), "one");
  assert.equal(world.asked.length, 1);
  world.nowMs += 1;
  assert.deepEqual(await Promise.all([world.estimate(), world.estimate()]), ["one", "one"]);
  assert.equal(world.asked.length, 2);
  world.asked[1]?.resolve("two");
  await world.asked[1]?.promise;
  assert.equal(await world.estimate(), "two");
});

test("a question that fails fails nobody: what was known goes on, or else the fallback", async () => {
  const world = stage();
  const first = world.estimate();
  world.asked[0]?.reject(new Error("too slow"));
  assert.equal(await first, "nothing");
  world.nowMs += TTL_MS + 1;
  assert.equal(await world.estimate(), "nothing");
  world.asked[1]?.resolve("one");
  await world.asked[1]?.promise;
  world.nowMs += TTL_MS + 1;
  assert.equal(await world.estimate(), "one");
  world.asked[2]?.reject(new Error("no database"));
  await world.asked[2]?.promise.catch(() => undefined);
  assert.equal(await world.estimate(), "one");
  assert.equal(world.errors.length, 2);
});
