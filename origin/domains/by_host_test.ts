import assert from "node:assert/strict";
import { test } from "node:test";
import { DomainsByHost } from "./by_host.ts";

const domains = new DomainsByHost(
  new Map([
    ["one.example", "one"],
    ["two.example:8448", "two"],
    ["Three.EXAMPLE", "three"],
    ["[2001:DB8::1]", "four"],
  ]),
);

test("a host with the dot of the root at its end is that host", () => {
  assert.equal(domains.atHost("one.example."), "one");
  assert.equal(domains.atHost("ONE.example.:443"), "one");
  assert.equal(domains.atHost("two.example.:8448"), "two");
  for (const host of ["five.example.", "one.example..", "."]) assert.throws(() => domains.atHost(host), host);
});

test("a host has no case, whatever the server name has", () => {
  for (const host of ["three.example", "THREE.example", "Three.EXAMPLE", "three.example:443", "Three.Example.:443"]) {
    assert.equal(domains.atHost(host), "three", host);
  }
  for (const host of ["[2001:db8::1]", "[2001:dB8::1]:443"]) assert.equal(domains.atHost(host), "four", host);
  assert.equal(domains.atHost("TWO.example:8448"), "two");
});
