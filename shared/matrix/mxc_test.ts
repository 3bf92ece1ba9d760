import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatMxc, isMediaId, parseMxc } from "./mxc.ts";

const vectors = JSON.parse(
  readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"),
).media_ids;

test("media ids are of the specification's alphabet, 1 to 255 characters", () => {
  for (const id of [...vectors.valid_derived, "x".repeat(255)]) assert.equal(isMediaId(id), true, id);
  for (const id of [...vectors.invalid_derived, "x".repeat(256), "a\n"]) assert.equal(isMediaId(id), false, id);
});

test("an mxc URI is taken apart and put together again", () => {
  for (const server of ["example.org", "1.2.3.4:8448", "[::1]:9000"]) {
    const uri = `mxc://${server}/Abc-_1`;
    const mxc = parseMxc(uri);
    assert.deepEqual(mxc, { serverName: server, mediaId: "Abc-_1" });
    assert.equal(mxc && formatMxc(mxc), uri);
  }
});

test("what is not exactly an mxc URI is refused", () => {
  const uris = [
    ...[vectors.attack_spec, "mxc://h/", "mxc:///id", "mxc://h", "mxc://h/id#auto", "mxc://h/id?x", "mxc://h/a/b"],
    ...[
      "MXC://h/id",
      "mxc:h/id",
      "http://h/id",
      " mxc://h/id",
      "mxc://h/id\n",
      "mxc://u@h/id",
      "mxc://../id",
      "mxc://%68/id",
      "",
    ],
  ];
  for (const uri of uris) assert.equal(parseMxc(uri), undefined, uri);
});

test("every id that is no id makes no mxc either", () => {
  for (const id of vectors.invalid_derived) assert.equal(parseMxc(`mxc://example.org/${id}`), undefined, id);
});
