import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAIN_POLICY } from "../../test/support/plain_policy.ts";
import { parseServedDomain, type ServedDomain, type ServingPolicy, servingPolicySchema } from "./domain_policy.ts";

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

const policy: ServingPolicy = {
  thumbnails: { sizes: [{ width: 32, height: 32 }], dynamicSizing: false, defaultAnimated: false, allowAnimated: true },
  openRangeMaxBytes: 0,
};

test("a policy survives its JSON", () => {
  assert.deepEqual(servingPolicySchema.parse(JSON.parse(JSON.stringify(policy))), policy);
});

test("a policy of before there was a choice of WebP is read, and one with it keeps it", () => {
  const webp = { ...policy, thumbnails: { ...policy.thumbnails, preferWebp: true } };
  assert.equal(servingPolicySchema.parse(policy).thumbnails.preferWebp, undefined);
  assert.equal(servingPolicySchema.parse(JSON.parse(JSON.stringify(webp))).thumbnails.preferWebp, true);
  assert.equal(
    servingPolicySchema.safeParse({ ...webp, thumbnails: { ...webp.thumbnails, preferWebp: 1 } }).success,
    false,
  );
});

test("sizes that could not be made, and limits that are none, are refused", () => {
  const sizes = (width: unknown) => ({
    ...policy,
    thumbnails: { ...policy.thumbnails, sizes: [{ width, height: 1 }] },
  });
  for (const width of [0, -1, 1.5, "32", null])
    assert.equal(servingPolicySchema.safeParse(sizes(width)).success, false);
  for (const openRangeMaxBytes of [-1, 0.5, "1"]) {
    assert.equal(servingPolicySchema.safeParse({ ...policy, openRangeMaxBytes }).success, false);
  }
});
