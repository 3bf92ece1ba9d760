import assert from "node:assert/strict";
import { test } from "node:test";
import { TtlCache } from "./ttl.ts";

test("an entry is gone when its time is over, not a moment before; also by a clock that begins at 0", () => {
  for (const begin of [0, 1_000]) {
    let nowMs = begin;
    const cache = new TtlCache<string>({ clock: () => nowMs, max: 10, ttlMs: 100 });
    cache.set("kept", "a");
    cache.set("longer", "b", { ttlMs: 200 });
    cache.set("begun before", "c", { fromMs: nowMs - 50 });
    nowMs = begin + 49;
    assert.equal(cache.get("begun before"), "c");
    nowMs = begin + 50;
    assert.equal(cache.get("begun before"), undefined);
    nowMs = begin + 99;
    assert.equal(cache.get("kept"), "a");
    nowMs = begin + 100;
    assert.equal(cache.get("kept"), undefined);
    assert.equal(cache.get("longer"), "b");
    nowMs = begin + 200;
    assert.equal(cache.get("longer"), undefined);
  }
});

test("what has no time to live is not kept, and takes the place of what was there", () => {
  const cache = new TtlCache<string>({ clock: () => 0, max: 10 });
  cache.set("key", "for ever");
  assert.equal(cache.get("key"), "for ever");
  for (const ttlMs of [0, -1, Number.NaN]) {
    cache.set("key", "old");
    cache.set("key", "new", { ttlMs });
    assert.equal(cache.get("key"), undefined, `${ttlMs} ms`);
  }
  cache.set("key", "of another time", { ttlMs: 10, fromMs: -10 });
  assert.equal(cache.get("key"), undefined);
});

test("it is bounded in entries and in bytes, and forgets what it is told to", () => {
  const few = new TtlCache<string>({ clock: () => 0, max: 2, ttlMs: 100 });
  for (const key of ["a", "b", "c"]) few.set(key, key);
  assert.deepEqual(
    ["a", "b", "c"].map((key) => few.get(key)),
    [undefined, "b", "c"],
  );
  few.delete("b");
  assert.equal(few.get("b"), undefined);
  few.clear();
  assert.equal(few.size, 0);
  const small = new TtlCache<string>({
    ...{ clock: () => 0, max: 0, ttlMs: 100 },
    bytes: { max: 10, of: (text) => text.length },
  });
  small.set("a", "12345");
  small.set("b", "123456");
  assert.equal(small.get("a"), undefined);
  assert.equal(small.get("b"), "123456");
});
