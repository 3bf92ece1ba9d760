import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, indexOfBytes, PatternSearch, startsWithBytes } from "./byte_search.ts";

const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

test("every place of a pattern is found, as the language's own search finds it", () => {
  for (const pattern of ["a", "ab", "aa", "aab", "abab", "xyz", "xyzx"]) {
    const search = new PatternSearch(bytes(pattern));
    for (const text of ["", "a", "aaaaaab", "abababab", "xyzxyzx", "wxxyzxy", "aabaabaab"]) {
      for (let from = 0; from <= text.length; from += 1) {
        assert.equal(search.next(bytes(text), from), text.indexOf(pattern, from), `${pattern} in ${text} from ${from}`);
      }
      assert.equal(indexOfBytes(bytes(text), bytes(pattern)), text.indexOf(pattern));
      assert.equal(startsWithBytes(bytes(text), bytes(pattern)), text.startsWith(pattern));
    }
  }
});

test("concatBytes makes new memory", () => {
  const first = bytes("ab");
  const both = concatBytes(first, bytes("c"));
  first[0] = 0;
  assert.deepEqual(both, bytes("abc"));
});
