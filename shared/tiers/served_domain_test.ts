import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAIN_POLICY } from "../../test/support/plain_policy.ts";
import { parseServedDomain, type ServedDomain } from "./served_domain.ts";

const DOMAIN: ServedDomain = {
  v: 1,
  server_name: "a.example",
  policy: PLAIN_POLICY,
};

test("a served domain is read as it was written", () => {
  assert.deepEqual(parseServedDomain(JSON.stringify(DOMAIN)), DOMAIN);
});

test("what is none of this version is none", () => {
  for (const changed of [{ v: 2 }, { server_name: "a b" }, { policy: {} }]) {
    assert.equal(parseServedDomain(JSON.stringify({ ...DOMAIN, ...changed })), undefined);
  }
  for (const text of ["", "{", "null", "[]"]) assert.equal(parseServedDomain(text), undefined);
});
