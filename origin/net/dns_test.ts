import assert from "node:assert/strict";
import { test } from "node:test";
import { findInHosts } from "./dns.ts";

const HOSTS = `
# 9.9.9.9 commented.example
127.0.0.1\tlocalhost localhost.localdomain
::1 localhost   # and 9.9.9.9 matrix.example
10.0.0.5 Matrix.Example   alias.example
not-an-address bad.example
`;

test("every address of a name is found, whatever its case, final dot and place in the line", () => {
  assert.deepEqual(findInHosts(HOSTS, "localhost"), ["127.0.0.1", "::1"]);
  assert.deepEqual(findInHosts(HOSTS, "MATRIX.example."), ["10.0.0.5"]);
  assert.deepEqual(findInHosts(HOSTS, "alias.example"), ["10.0.0.5"]);
});

test("comments, addresses and lines without address name nobody", () => {
  for (const name of ["commented.example", "bad.example", "10.0.0.5", "", "example"]) {
    assert.deepEqual(findInHosts(HOSTS, name), [], name);
  }
});
