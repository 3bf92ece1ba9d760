import assert from "node:assert/strict";
import { test } from "node:test";
import { IpNetworks, ipv4Of, ipv6Value, parseIpAddress, parseIpNetwork, requireIpNetwork } from "./ip_address.ts";

test("addresses are read as they are, but for IPv4 ones written as IPv6", () => {
  for (const text of ["0.0.0.0", "255.255.255.255", "10.1.2.3"]) {
    assert.deepEqual(parseIpAddress(text), { family: 4, text });
  }
  for (const text of ["::", "::1", "2001:db8::ff00:42:8329", "64:ff9b::127.0.0.1", "::127.0.0.1"]) {
    assert.deepEqual(parseIpAddress(text), { family: 6, text });
  }
  assert.deepEqual(parseIpAddress("::ffff:127.0.0.1"), { family: 4, text: "127.0.0.1" });
  assert.deepEqual(parseIpAddress("::FFFF:7f00:1"), { family: 4, text: "127.0.0.1" });
  assert.deepEqual(parseIpAddress("0:0:0:0:0:ffff:a00:1"), { family: 4, text: "10.0.0.1" });
});

test("IPv6 addresses are read to their number", () => {
  const expected: [string, bigint][] = [
    ["::", 0n],
    ["::1", 1n],
    ["2001:db8::ff00:42:8329", 0x2001_0db8_0000_0000_0000_ff00_0042_8329n],
    ["1:2:3:4:5:6:7:8", 0x0001_0002_0003_0004_0005_0006_0007_0008n],
    ["1::", 1n << 112n],
    ["64:ff9b::127.0.0.1", 0x0064_ff9b_0000_0000_0000_0000_7f00_0001n],
    ["::127.0.0.1", 0x7f00_0001n],
  ];
  for (const [text, value] of expected) assert.equal(ipv6Value(text), value, text);
  assert.deepEqual(ipv4Of(0x64_ff9b_0a01_0203n), { family: 4, text: "10.1.2.3" });
});

test("what is no address is undefined", () => {
  for (const bad of [
    "",
    "localhost",
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
    "1.2.3.4.5",
    "fe80::1%eth0",
    "[::1]",
    ":::",
    "1.2.3.4/8",
  ]) {
    assert.equal(parseIpAddress(bad), undefined, bad);
  }
});

test("networks are read with and without prefix, and what has another form is undefined", () => {
  assert.deepEqual(parseIpNetwork("10.0.0.0/8"), { family: 4, text: "10.0.0.0", prefix: 8 });
  assert.deepEqual(parseIpNetwork("10.0.0.1"), { family: 4, text: "10.0.0.1", prefix: 32 });
  assert.deepEqual(parseIpNetwork("::1"), { family: 6, text: "::1", prefix: 128 });
  assert.deepEqual(parseIpNetwork("::ffff:10.0.0.0/104"), { family: 4, text: "10.0.0.0", prefix: 8 });
  for (const bad of [
    "",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0/8",
    "10.0.0.0/-1",
    "10.0.0.0/8x",
    "all",
  ]) {
    assert.equal(parseIpNetwork(bad), undefined, bad);
    assert.throws(() => requireIpNetwork(bad), new RegExp(`Cannot use "${bad}" as a network`));
  }
});

test("containment looks at the prefix only and never across families", () => {
  const isIn = (outer: string, inner: string) => {
    const networks = new IpNetworks([requireIpNetwork("192.0.2.0/24"), requireIpNetwork(outer)]);
    const address = parseIpAddress(inner);
    return address ? networks.has(address) : networks.covers(requireIpNetwork(inner));
  };
  assert.equal(isIn("127.0.0.1/8", "127.255.0.9"), true);
  assert.equal(isIn("127.0.0.1/8", "128.0.0.1"), false);
  assert.equal(isIn("10.0.0.1", "10.0.0.1"), true);
  assert.equal(isIn("10.0.0.1", "10.0.0.2"), false);
  assert.equal(isIn("0.0.0.0/0", "8.8.8.8"), true);
  assert.equal(isIn("0.0.0.0/0", "::1"), false);
  assert.equal(isIn("0.0.0.0/0", "64:ff9b::8.8.8.8"), false);
  assert.equal(isIn("::/0", "8.8.8.8"), false);
  assert.equal(isIn("::/0", "::ffff:8.8.8.8"), false);
  assert.equal(isIn("::/0", "2001:db8::1"), true);
  assert.equal(isIn("::/3", "1fff::1"), true);
  assert.equal(isIn("::/3", "2000::1"), false);
  assert.equal(isIn("2001:db8::1/32", "2001:db8:ffff::1"), true);
  assert.equal(isIn("10.0.0.0/8", "10.2.0.0/16"), true);
  assert.equal(isIn("10.2.0.0/16", "10.0.0.0/8"), false);
  assert.equal(isIn("::/0", "10.0.0.0/8"), false);
});
