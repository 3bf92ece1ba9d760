import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeDeep } from "./merge.ts";

test("mappings are merged at every depth, lists and values are replaced, and neither side is changed", () => {
  const under = { a: { b: { c: 1, d: 2 }, list: [1, 2] }, e: 5 };
  const over = { a: { b: { d: 3 }, list: [9] }, e: { f: 1 } };
  const before = structuredClone([under, over]);
  assert.deepEqual(mergeDeep(under, over), { a: { b: { c: 1, d: 3 }, list: [9] }, e: { f: 1 } });
  assert.deepEqual([under, over], before);
});

test("names that every object inherits are keys like others", () => {
  const merged = mergeDeep({}, JSON.parse('{"constructor": {"a": 1}}'));
  assert.deepEqual(Object.keys(merged), ["constructor"]);
  assert.equal(({} as { a?: number }).a, undefined);
});
