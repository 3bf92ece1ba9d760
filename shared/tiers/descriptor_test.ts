import assert from "node:assert/strict";
import { test } from "node:test";
import { type LiveDescriptor, parseDescriptor, type Tombstone } from "./descriptor.ts";

const live: LiveDescriptor = {
  v: 1,
  gen: 7,
  server_name: "example.org",
  media_id: "abc",
  sha256: "0123456789abcdef".repeat(4),
  size: 0,
  type: "image/png",
  name: "ü.png",
  created: 1_700_000_000_000,
  body: "b/x-7",
  quarantined: true,
  frozen: false,
};
const tombstone: Tombstone = { v: 1, gen: 8, gone: true, at: 1_700_000_000_000 };
const parse = (value: unknown) => parseDescriptor(JSON.stringify(value));

test("both kinds survive their JSON, and keys of later versions do not harm", () => {
  assert.deepEqual(parse(live), live);
  assert.deepEqual(parse(tombstone), tombstone);
  assert.deepEqual(parse({ ...live, later: 1 }), live);
  const { name: _name, body: _body, quarantined: _q, frozen: _f, ...bare } = live;
  assert.deepEqual(parse(bare), bare);
});

test("what is no descriptor of this version is none at all", () => {
  for (const text of ["", "{", "null", "[]", "1", '"x"']) assert.equal(parseDescriptor(text), undefined, text);
  const wrong = [
    ...[
      { v: 2 },
      { v: "1" },
      { gen: -1 },
      { gen: 1.5 },
      { gen: undefined },
      { size: -1 },
      { size: "1" },
      { gone: false },
    ],
    ...[
      { server_name: "a/../b" },
      { media_id: ".." },
      { sha256: "ABC" },
      { sha256: undefined },
      { type: 1 },
      { frozen: "no" },
    ],
  ];
  for (const change of wrong) assert.equal(parse({ ...live, ...change }), undefined, JSON.stringify(change));
});

test("a tombstone may say that its media can come again, and nothing else about it", () => {
  assert.deepEqual(parse({ ...tombstone, again: true }), { ...tombstone, again: true });
  assert.equal(parse({ ...tombstone, again: false }), undefined);
});

test("what says that it is gone is gone, whatever else it says", () => {
  assert.deepEqual(parse({ ...live, ...tombstone }), tombstone);
  assert.equal(parse({ ...live, gone: true }), undefined);
});
