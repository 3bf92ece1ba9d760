import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countServer, networkOf } from "./counted.ts";

describe("what counts as one address", () => {
  const same = (one: string, other: string) => assert.equal(networkOf(one), networkOf(other));
  const different = (one: string, other: string) => assert.notEqual(networkOf(one), networkOf(other));

  test("is all of an IPv6 /64", () => {
    same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff");
    different("2001:db8:1:2::1", "2001:db8:1:3::1");
    assert.equal(networkOf("2001:db8:1:2::1"), "2001:db8:1:2::/64");
  });

  test("is one IPv4 address, however it is written", () => {
    same("192.0.2.7", "::ffff:192.0.2.7");
    same("192.0.2.7", "::ffff:c000:207");
    different("192.0.2.7", "192.0.2.8");
    assert.equal(networkOf("::ffff:192.0.2.7"), "192.0.2.7");
  });

  test("is one for everything that is no address", () => {
    for (const text of [undefined, "", "unix", "1.2.3", "[::1]:80"]) assert.equal(networkOf(text), "unknown");
    same("fe80::1%eth0", "fe80::1");
  });
});

test("a server is the same however its name is written", () => {
  assert.equal(countServer("Example.ORG").name, "server example.org");
});
