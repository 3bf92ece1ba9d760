import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type KeptKeys, readKeptKeys } from "./key_answer.ts";

const NOW = 1_700_000_000_000;
const DAY = 24 * 3_600_000;
const KEPT: KeptKeys = {
  serverName: "a.example",
  keys: { "ed25519:1": "AAAA" },
  fetchedAtMs: NOW - DAY,
  validUntilMs: NOW + DAY,
  generation: 7,
};

describe("keys that were kept outside", () => {
  const read = (changes: object = {}) => readKeptKeys(JSON.stringify({ ...KEPT, ...changes }), "a.example", NOW);

  test("come back as they were, also when they have expired", () => {
    assert.deepEqual(read(), KEPT);
    assert.ok(read({ validUntilMs: NOW - 1 }));
  });

  const WRONG: readonly [string, object][] = [
    ["of another server", { serverName: "b.example" }],
    ["of no server", { serverName: undefined }],
    ["that are no texts", { keys: { "ed25519:1": 5 } }],
    ["that are none", { keys: null }],
    ["without a time", { fetchedAtMs: "yesterday" }],
    ["fetched tomorrow", { fetchedAtMs: NOW + DAY, validUntilMs: NOW + 2 * DAY }],
    ["good for longer than any key is", { validUntilMs: NOW + 7 * DAY }],
    ["without a generation", { generation: undefined }],
    ["of half a generation", { generation: 1.5 }],
  ];
  for (const [what, changes] of WRONG) {
    test(`count for nothing: ${what}`, () => assert.equal(read(changes), undefined));
  }

  test("count for nothing where they cannot be read", () => {
    for (const text of ["", "{", "null", "[]"]) assert.equal(readKeptKeys(text, "a.example", NOW), undefined);
  });
});
