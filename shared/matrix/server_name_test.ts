import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isServerName, parseServerName } from "./server_name.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));

test("the specification's server names are accepted", () => {
  assert.ok(vectors.server_names.valid_spec.length >= 6);
  for (const name of vectors.server_names.valid_spec) assert.equal(isServerName(name), true, name);
});

test("names outside the grammar are refused", () => {
  assert.ok(vectors.server_names.invalid_derived.length >= 10);
  for (const name of vectors.server_names.invalid_derived) assert.equal(isServerName(name), false, name);
});

test("a name is taken apart, the brackets of IPv6 left behind and the case kept", () => {
  assert.deepEqual(parseServerName("Matrix.org:8888"), { host: "Matrix.org", port: 8888, kind: "dns" });
  assert.deepEqual(parseServerName("1.2.3.4"), { host: "1.2.3.4", kind: "ipv4" });
  assert.deepEqual(parseServerName("[1234:5678::abcd]:5678"), {
    host: "1234:5678::abcd",
    port: 5678,
    kind: "ipv6",
  });
});

test("ports have one to five digits and end at 65535", () => {
  for (const port of ["0", "1", "00080", "65535"]) assert.equal(parseServerName(`a.b:${port}`)?.port, Number(port));
  for (const port of ["", "65536", "99999", "123456", "-1", "+1", "8x", "8:8", "８"]) {
    assert.equal(isServerName(`a.b:${port}`), false, port);
  }
});

test("IPv6 text is checked, not only its alphabet", () => {
  const valid = ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4"];
  for (const text of valid) assert.equal(isServerName(`[${text}]`), true, text);
  const invalid = [
    ...[":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8"],
    ...[
      "1::2::3",
      ":1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:",
      "12345::",
      "g::",
      "1.2.3.4",
      "1.2.3.4::",
      "::256.1.1.1",
      "::1.2.3",
    ],
    ...["::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::1%25lo", "::1 "],
  ];
  for (const text of invalid) assert.equal(isServerName(`[${text}]`), false, text);
});

test("a name is never a dot segment, nor a number that a URL parser would take for an address", () => {
  const names = [".", "..", "a..b", ".a", "a.", "127.1", "2130706433", "0x7f.1", "a.0x7f", "010.0.0.1", "1.2.3.4.5"];
  for (const name of names) assert.equal(isServerName(name), false, name);
  for (const name of ["1.2.3.4a", "3com.example", "xn--mnchen-3ya.example", "0x7f.example"]) {
    assert.equal(isServerName(name), true, name);
  }
});

test("255 characters of host are accepted, and nothing may hide behind them", () => {
  assert.equal(isServerName("a".repeat(255)), true);
  assert.equal(isServerName(`${"a".repeat(255)}:8448`), true);
  for (const name of ["a.b\n", "\na.b", "a.b\0", "a.b#", "a.b?x", "u@a.b", " a.b"])
    assert.equal(isServerName(name), false, name);
});
