import assert from "node:assert/strict";
import { test } from "node:test";
import { FreshCache } from "./ttl.ts";

function makeCache() {
  const time = { now: 0 };
  const cache = new FreshCache<string>({ clock: () => time.now, ttlMs: 2_000, max: 2 });
  const reads: string[] = [];
  const read = (value: string | undefined) => async () => {
    reads.push(String(value));
    return value;
  };
  return { time, cache, reads, read };
}

test("FreshCache reads once for all who ask at once, and not again while it is fresh", async () => {
  const { time, cache, reads, read } = makeCache();
  assert.deepEqual(await Promise.all([cache.get("a", read("1")), cache.get("a", read("2"))]), ["1", "1"]);
  time.now = 1_999;
  assert.equal(await cache.get("a", read("3")), "1");
  time.now = 2_000;
  assert.equal(await cache.get("a", read("4")), "4");
  assert.deepEqual(reads, ["1", "4"]);
});

test("FreshCache never keeps that there is nothing, nor a failure", async () => {
  const { cache, read } = makeCache();
  assert.equal(await cache.get("a", read(undefined)), undefined);
  await assert.rejects(cache.get("a", () => Promise.reject(new Error("no"))));
  assert.equal(await cache.get("a", read("1")), "1");
});

test("FreshCache.forget also reaches a reading that is under way", async () => {
  const { cache, read } = makeCache();
  let finish: ((value: string) => void) | undefined;
  const old = cache.get("a", () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    finish = resolve;
    return promise;
  });
  await Promise.resolve();
  await Promise.resolve();
  cache.forget("a");
  assert.equal(await cache.get("a", read("new")), "new");
  finish?.("old");
  assert.equal(await old, "old", "who asked before may see what was before");
  assert.equal(await cache.get("a", read("newer")), "new");
});

test("FreshCache.clear forgets everything, and what is being read too", async () => {
  const { cache, read } = makeCache();
  await cache.get("a", read("1"));
  const reading = Promise.withResolvers<string>();
  const old = cache.get("b", () => reading.promise);
  await Promise.resolve();
  cache.clear();
  assert.equal(await cache.get("a", read("2")), "2");
  assert.equal(await cache.get("b", read("new")), "new");
  reading.resolve("old");
  await old;
  assert.equal(await cache.get("b", read("newer")), "new");
});

test("FreshCache counts freshness from the beginning of the reading", async () => {
  const { time, cache, read } = makeCache();
  await cache.get("a", async () => {
    time.now = 1_500;
    return "slow";
  });
  time.now = 2_100;
  assert.equal(await cache.get("a", read("next")), "next");
});

test("FreshCache keeps no more than it may", async () => {
  const { cache, read, reads } = makeCache();
  for (const key of ["a", "b", "c", "a"]) await cache.get(key, read(key));
  assert.deepEqual(reads, ["a", "b", "c", "a"]);
});
