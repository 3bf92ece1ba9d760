import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canonicalJson } from "./canonical_json.ts";
import { MatrixError } from "./matrix_error.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const isBadJson = (thrown: unknown) => thrown instanceof MatrixError && thrown.errcode === "M_BAD_JSON";

test("every vector of the specification comes out byte for byte", () => {
  assert.ok(vectors.canonical_json.length >= 16);
  for (const { input, output, reject } of vectors.canonical_json) {
    if (reject) assert.throws(() => canonicalJson(JSON.parse(input)), isBadJson, input);
    else assert.equal(canonicalJson(JSON.parse(input)), output);
  }
});

test("keys are sorted by code point also where one is the beginning of the other, and within a common surrogate", () => {
  assert.equal(canonicalJson({ ab: 1, a: 2, "": 3 }), '{"":3,"a":2,"ab":1}');
  assert.equal(canonicalJson({ "😁": 1, "😀": 2, "�": 3, "😀a": 4 }), '{"�":3,"😀":2,"😀a":4,"😁":1}');
});

test("a key called __proto__ is a key like any other", () => {
  assert.equal(canonicalJson(JSON.parse('{"z":1,"__proto__":{"a":2}}')), '{"__proto__":{"a":2},"z":1}');
});

test("the largest integers pass and the next ones don't", () => {
  assert.equal(canonicalJson([2 ** 53 - 1, -(2 ** 53) + 1]), "[9007199254740991,-9007199254740991]");
  for (const bad of [2 ** 53, -(2 ** 53), 1e300, Number.NaN, Number.POSITIVE_INFINITY, 0.1]) {
    assert.throws(() => canonicalJson({ bad }), isBadJson);
  }
});

test("what JSON does not know is refused, not dropped", () => {
  for (const bad of [undefined, () => 1, 1n, Symbol("a")]) assert.throws(() => canonicalJson({ bad }), isBadJson);
  assert.throws(() => canonicalJson({ "\ud800": 1 }), isBadJson);
});

test("deep nesting is refused instead of exhausting the stack", () => {
  const deep = JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`);
  assert.throws(() => canonicalJson(deep), isBadJson);
});
