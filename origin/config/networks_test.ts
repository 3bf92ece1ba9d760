import assert from "node:assert/strict";
import { test } from "node:test";
import { isNetwork } from "./networks.ts";

test("a network is an address with a prefix, whatever bits stand beyond it, or an address alone", () => {
  for (const text of ["10.0.0.0/8", "127.0.0.1/8", "0.0.0.0/0", "::/0", "fe80::1/64", "192.0.2.7", "::1"]) {
    assert.equal(isNetwork(text), true, text);
  }
});

test("nothing else is one", () => {
  for (const text of [
    "",
    "nginx",
    "10.0.0.0/33",
    "::/129",
    "10.0.0/8",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "1.2.3.4/-1",
    "[::1]/128",
  ]) {
    assert.equal(isNetwork(text), false, text);
  }
});
