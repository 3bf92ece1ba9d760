import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAIN_POLICY } from "../../test/support/plain_policy.ts";
import { type DomainDocument, parseDomainDocument } from "./domain_policy.ts";
import { parseServerKeyDocument } from "./server_key.ts";

const KEY = { v: 1, gen: 3, server_name: "a.example:8448", key_id: "ed25519:1", key: "AAAA", exp: 5 } as const;
const DOMAIN: DomainDocument = {
  v: 1,
  gen: 3,
  server_name: "a.example",
  policy: PLAIN_POLICY,
  exp: 5,
};

test("a document is read as it was written", () => {
  assert.deepEqual(parseServerKeyDocument(JSON.stringify(KEY)), KEY);
  assert.deepEqual(parseDomainDocument(JSON.stringify(DOMAIN)), DOMAIN);
});

test("a tombstone is no key", () => {
  assert.equal(parseServerKeyDocument(JSON.stringify({ v: 1, gen: 4, gone: true, at: 5 })), undefined);
});

test("what is no document of this version is as good as absent", () => {
  for (const changed of [{ v: 2 }, { gen: -1 }, { server_name: "a b" }, { exp: "5" }, { gen: 1.5 }]) {
    assert.equal(parseServerKeyDocument(JSON.stringify({ ...KEY, ...changed })), undefined);
    assert.equal(parseDomainDocument(JSON.stringify({ ...DOMAIN, ...changed })), undefined);
  }
  for (const text of ["", "{", "null", "[]"]) {
    assert.equal(parseServerKeyDocument(text), undefined);
    assert.equal(parseDomainDocument(text), undefined);
  }
});
