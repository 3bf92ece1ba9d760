import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { matchesGlob } from "./glob.ts";

const CASES: readonly [glob: string, text: string, expected: boolean][] = [
  ["@*:*", "@alice:example.org", true],
  ["@*:example.org", "@alice:example.org", true],
  ["@*:example.org", "@alice:example.org.evil", false],
  ["@*:example.org", "@alice:other.org", false],
  ["@alice:example.org", "@alice:example.org", true],
  ["@alice:example.org", "@Alice:example.org", false],
  ["*", "", true],
  ["**", "anything", true],
  ["", "", true],
  ["", "x", false],
  ["a*a", "a", false],
  ["a*a", "aa", true],
  ["a*b*c", "a-b-b-c", true],
  ["a*b*c", "a-c-b", false],
  ["*ab*ab", "ab", false],
  ["*ab*ab", "abab", true],
  ["@_bridge_?:x", "@_bridge_a:x", false],
  ["@a.c:x", "@abc:x", false],
];

describe("a glob", () => {
  for (const [glob, text, expected] of CASES) {
    test(`"${glob}" ${expected ? "matches" : "does not match"} "${text}"`, () => {
      assert.equal(matchesGlob(glob, text), expected);
    });
  }

  test("of many stars is answered at once", () => {
    assert.equal(matchesGlob(`${"*a".repeat(2000)}b`, "a".repeat(4000)), false);
  });
});
