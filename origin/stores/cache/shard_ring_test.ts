import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeRing } from "./shard_ring.ts";

const KEYS = Array.from({ length: 6000 }, (_, index) => `key ${index}`);
const three = [{ name: "a" }, { name: "b" }, { name: "c" }];

describe("the ring of shards", () => {
  test("gives each shard its fair part of the keys", () => {
    const pick = makeRing(three);
    for (const shard of three) {
      const part = KEYS.filter((key) => pick(key) === shard).length / KEYS.length;
      assert.ok(Math.abs(part - 1 / 3) < 0.03, `${shard.name} holds ${part}`);
    }
  });

  test("picks the same shard whatever the order they are listed in", () => {
    const [one, other] = [makeRing(three), makeRing(three.toReversed())];
    for (const key of KEYS) assert.equal(one(key).name, other(key).name);
  });

  test("moves no key but those of a shard that was taken away", () => {
    const [before, after] = [makeRing(three), makeRing(three.slice(0, 2))];
    for (const key of KEYS) if (before(key).name !== "c") assert.equal(after(key).name, before(key).name);
  });

  test("refuses to be made of nothing", () => {
    assert.throws(() => makeRing([]));
  });
});
