import assert from "node:assert/strict";
import { test } from "node:test";
import { plainAddress } from "./plain_address.ts";

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
