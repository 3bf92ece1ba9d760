import assert from "node:assert/strict";
import { test } from "node:test";
import { Lru } from "./lru.ts";

test("Lru keeps as many as it may, and forgets what was used the longest time ago", () => {
  const lru = new Lru<number>(2);
  lru.set("a", 1);
  lru.set("b", 2);
  assert.equal(lru.get("a"), 1);
  lru.set("c", 3);
  assert.deepEqual([lru.get("a"), lru.get("b"), lru.get("c")], [1, undefined, 3]);
  lru.delete("a");
  assert.equal(lru.get("a"), undefined);
});
