import assert from "node:assert/strict";
import { test } from "node:test";
import { selectDomain } from "./select_domain.ts";

const domains = new Map([
  ["one.example", "one"],
  ["two.example:8448", "two"],
]);

test("a host with the dot of the root at its end is that host", () => {
  assert.equal(selectDomain(domains, "one.example."), "one");
  assert.equal(selectDomain(domains, "ONE.example.:443"), "one");
  assert.equal(selectDomain(domains, "two.example.:8448"), "two");
  for (const host of ["three.example.", "one.example..", "."]) assert.throws(() => selectDomain(domains, host), host);
});
