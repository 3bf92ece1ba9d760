import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardedAddress, forwardedHost, plainAddress } from "./forwarded.ts";

const isTrusted = (address: string) => /^(10\.|::1$)/.test(address);

test("the client is the right-most that is no trusted proxy", () => {
  const cases: [string, string | undefined][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["192.0.2.1, 198.51.100.2, 10.0.0.1", "198.51.100.2"],
    [" 192.0.2.1:99 ,\t10.0.0.1:5 ", "192.0.2.1"],
    ["[2001:db8::1%eth0]:7", "2001:db8::1"],
    ["10.0.0.3, 10.0.0.2,10.0.0.1", "10.0.0.3"],
    ["192.0.2.1, , ,10.0.0.1,", "192.0.2.1"],
    ["unknown", "unknown"],
    ["", undefined],
    [" , ,", undefined],
  ];
  for (const [header, address] of cases) assert.equal(forwardedAddress(header, isTrusted), address, header);
});

test("however long it is, a few entries are looked at, and of each a few characters", () => {
  for (const entry of ["10.0.0.1,", "::1,", ",", " ,", "[fe80::1%eth0]:1,"]) {
    let asked = 0;
    const counting = (address: string) => {
      asked += 1;
      assert.ok(address.length <= 128);
      return true;
    };
    forwardedAddress(`192.0.2.1,${entry.repeat(20_000)}`, counting);
    assert.ok(asked <= 32, `${asked} of ${entry}`);
  }
  assert.equal(forwardedAddress("x".repeat(100_000), () => false)?.length, 128);
  assert.equal(forwardedAddress(`${"10.0.0.9,".repeat(10_000)}192.0.2.1, 10.0.0.1`, isTrusted), "192.0.2.1");
});

test("the host is the last one that is named, unless it is none by its length", () => {
  assert.equal(forwardedHost("a.example, b.example:8448 "), "b.example:8448");
  assert.equal(forwardedHost("b.example"), "b.example");
  for (const none of ["", " ", "a.example,", "a.".repeat(200), ",".repeat(100_000)])
    assert.equal(forwardedHost(none), undefined);
});

test("an address is the same with a port, in brackets and with a zone", () => {
  for (const [text, address] of [
    ["192.0.2.1", "192.0.2.1"],
    ["192.0.2.1:5678", "192.0.2.1"],
    ["2001:db8::1", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["[2001:db8::1]:5678", "2001:db8::1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["fe80::1%eth0", "fe80::1"],
    ["[fe80::1%eth0]:80", "fe80::1"],
    ["unix", "unix"],
    ["", ""],
  ] as const) {
    assert.equal(plainAddress(text), address);
  }
});
