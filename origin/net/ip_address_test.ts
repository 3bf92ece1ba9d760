import assert from "node:assert/strict";
import { test } from "node:test";
import { type IpNetwork, isInNetwork, parseIpAddress, parseIpNetwork } from "./ip_address.ts";

test("addresses are read to their number", () => {
  const expected: [string, 4 | 6, bigint][] = [
    ["0.0.0.0", 4, 0n],
    ["255.255.255.255", 4, 0xffff_ffffn],
    ["10.1.2.3", 4, 0x0a01_0203n],
    ["::", 6, 0n],
    ["::1", 6, 1n],
    ["2001:db8::ff00:42:8329", 6, 0x2001_0db8_0000_0000_0000_ff00_0042_8329n],
    ["1:2:3:4:5:6:7:8", 6, 0x0001_0002_0003_0004_0005_0006_0007_0008n],
    ["1::", 6, 1n << 112n],
    ["64:ff9b::127.0.0.1", 6, 0x0064_ff9b_0000_0000_0000_0000_7f00_0001n],
    ["::ffff:127.0.0.1", 4, 0x7f00_0001n],
    ["::FFFF:7f00:1", 4, 0x7f00_0001n],
    ["0:0:0:0:0:ffff:a00:1", 4, 0x0a00_0001n],
    ["::127.0.0.1", 6, 0x7f00_0001n],
  ];
  for (const [text, family, value] of expected) assert.deepEqual(parseIpAddress(text), { family, value }, text);
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

test("networks are read with and without prefix, and what is none is undefined", () => {
  assert.deepEqual(parseIpNetwork("10.0.0.0/8"), { family: 4, value: 0x0a00_0000n, prefix: 8 });
  assert.deepEqual(parseIpNetwork("10.0.0.1"), { family: 4, value: 0x0a00_0001n, prefix: 32 });
  assert.deepEqual(parseIpNetwork("::1"), { family: 6, value: 1n, prefix: 128 });
  assert.deepEqual(parseIpNetwork("::ffff:10.0.0.0/104"), { family: 4, value: 0x0a00_0000n, prefix: 8 });
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
  }
});

test("containment looks at the prefix only and never across families", () => {
  const network = (text: string) => parseIpNetwork(text) as IpNetwork;
  const isIn = (outer: string, inner: string) => isInNetwork(network(outer), parseIpAddress(inner) ?? network(inner));
  assert.equal(isIn("127.0.0.1/8", "127.255.0.9"), true);
  assert.equal(isIn("127.0.0.1/8", "128.0.0.1"), false);
  assert.equal(isIn("0.0.0.0/0", "8.8.8.8"), true);
  assert.equal(isIn("0.0.0.0/0", "::1"), false);
  assert.equal(isIn("::/0", "8.8.8.8"), false);
  assert.equal(isIn("::/0", "::ffff:8.8.8.8"), false);
  assert.equal(isIn("10.0.0.0/8", "10.2.0.0/16"), true);
  assert.equal(isIn("10.2.0.0/16", "10.0.0.0/8"), false);
});
