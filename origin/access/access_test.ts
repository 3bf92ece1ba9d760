import assert from "node:assert/strict";
import { test } from "node:test";
import { type AuthPolicy, hashAuthPolicy } from "./access.ts";

const service = { asToken: "secret", senderUserId: "@bot:a", userNamespaces: [/^@bridged_/], rateLimited: true };
const terms: AuthPolicy = {
  csApi: "http://127.0.0.1:8008",
  tokenTtlMs: 3_600_000,
  applicationServices: [service],
  policy: {
    thumbnails: {
      sizes: [{ width: 32, height: 32 }],
      dynamicSizing: false,
      defaultAnimated: false,
      allowAnimated: true,
    },
    openRangeMaxBytes: 100,
  },
};

test("equal terms have one fingerprint, and every change of them has another", () => {
  assert.equal(hashAuthPolicy(structuredClone(terms)), hashAuthPolicy(terms));
  const changed: AuthPolicy[] = [
    { ...terms, csApi: "http://127.0.0.1:8009" },
    { ...terms, tokenTtlMs: 0 },
    { ...terms, applicationServices: [] },
    { ...terms, applicationServices: [{ ...service, asToken: "other" }] },
    { ...terms, applicationServices: [{ ...service, userNamespaces: [/^@bridged_a/] }] },
    { ...terms, policy: { ...terms.policy, openRangeMaxBytes: 200 } },
    { ...terms, policy: { ...terms.policy, thumbnails: { ...terms.policy.thumbnails, sizes: [] } } },
  ];
  assert.equal(new Set([terms, ...changed].map(hashAuthPolicy)).size, changed.length + 1);
});
