import assert from "node:assert/strict";
import { test } from "node:test";
import { FORBIDDEN_ADDRESSES, MMR_DISALLOWED, PUBLIC_ADDRESSES } from "../../test/support/addresses.ts";
import { makeAddressGuard } from "./address_guard.ts";

const defaults = makeAddressGuard({ allowedNetworks: ["0.0.0.0/0"], disallowedNetworks: MMR_DISALLOWED });
const bothFamilies = makeAddressGuard({ allowedNetworks: ["0.0.0.0/0", "::/0"], disallowedNetworks: MMR_DISALLOWED });

test("every forbidden address is refused, whether IPv6 is allowed or not", () => {
  assert.ok(FORBIDDEN_ADDRESSES.length >= 60);
  assert.equal(new Set(FORBIDDEN_ADDRESSES).size, FORBIDDEN_ADDRESSES.length);
  for (const address of FORBIDDEN_ADDRESSES) {
    assert.equal(bothFamilies(address), false, address);
    assert.equal(defaults(address), false, address);
  }
});

test("public addresses pass, those of IPv6 once ::/0 is allowed", () => {
  for (const address of PUBLIC_ADDRESSES) {
    assert.equal(bothFamilies(address), true, address);
    assert.equal(defaults(address), !address.includes(":") || address.includes("ffff:"), address);
  }
});

test("what is no address is refused", () => {
  for (const text of ["", "example.org", "127.1", "0x08.8.8.8", "fe80::1%lo", "[2606:4700::1]"]) {
    assert.equal(bothFamilies(text), false, text);
  }
});

test("loopback and private networks are opened by the lists alone", () => {
  const open = makeAddressGuard({ allowedNetworks: ["0.0.0.0/0", "::1/128"], disallowedNetworks: ["10.0.0.0/8"] });
  assert.equal(open("127.0.0.1"), true);
  assert.equal(open("::ffff:192.168.0.1"), true);
  assert.equal(open("::1"), true);
  assert.equal(open("10.1.2.3"), false);
  assert.equal(open("::ffff:10.1.2.3"), false);
  assert.equal(open("0.0.0.0"), false);
  assert.equal(open("224.0.0.1"), false);
});

test("a disallowed network wins over an allowed one", () => {
  const guard = makeAddressGuard({ allowedNetworks: ["127.0.0.1"], disallowedNetworks: MMR_DISALLOWED });
  assert.equal(guard("127.0.0.1"), false);
});

test("only what allowedNetworks contains passes", () => {
  const narrow = makeAddressGuard({ allowedNetworks: ["93.184.0.0/16"], disallowedNetworks: [] });
  assert.equal(narrow("93.184.216.34"), true);
  assert.equal(narrow("1.1.1.1"), false);
  const closed = makeAddressGuard({ allowedNetworks: [], disallowedNetworks: [] });
  assert.equal(closed("93.184.216.34"), false);
});

test("a special range opens when it is named, and not by a wider network", () => {
  const named = makeAddressGuard({ allowedNetworks: ["0.0.0.0/0", "198.18.5.0/24"], disallowedNetworks: [] });
  assert.equal(named("198.18.5.1"), true);
  assert.equal(named("198.18.6.1"), false);
});

test("a transition address needs its IPv4 address to pass as well", () => {
  const guard = makeAddressGuard({
    allowedNetworks: ["0.0.0.0/0", "::/0", "2002::/16", "2001::/32", "64:ff9b:1::/48"],
    disallowedNetworks: MMR_DISALLOWED,
  });
  assert.equal(guard("2002:0808:0808::1"), true);
  assert.equal(guard("2002:7f00:0001::1"), false);
  assert.equal(guard("64:ff9b::8.8.8.8"), true);
  assert.equal(guard("64:ff9b:1::10.0.0.1"), false);
  assert.equal(guard("2001:0:4136:e378:8000:63bf:80ff:fffe"), false, "the Teredo client is 127.0.0.1");
  assert.equal(guard("2001:0:4136:e378:8000:63bf:f7f7:f7f7"), true, "the Teredo client is 8.8.8.8");
  assert.equal(guard("2001:0:7f00:1:8000:63bf:f7f7:f7f7"), false, "the Teredo server is 127.0.0.1");
});

test("an entry that is no network is an error that names it", () => {
  for (const bad of ["10.0.0.0/33", "private", ""]) {
    assert.throws(() => makeAddressGuard({ allowedNetworks: ["0.0.0.0/0"], disallowedNetworks: [bad] }), /network/);
    assert.throws(() => makeAddressGuard({ allowedNetworks: [bad], disallowedNetworks: [] }), new RegExp(`"${bad}"`));
  }
});
