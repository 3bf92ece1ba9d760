import assert from "node:assert/strict";
import { test } from "node:test";
import { type LiveVerdict, parseVerdict } from "./verdict.ts";

const live: LiveVerdict = {
  v: 1,
  gen: 3,
  server_name: "example.org",
  user_id: "@a:example.org",
  device_id: "D",
  is_guest: false,
  exp: 1_700_000_000_000,
  policy: {
    thumbnails: { sizes: [], dynamicSizing: false, defaultAnimated: false, allowAnimated: true },
    openRangeMaxBytes: 10,
  },
};
const parse = (value: unknown) => parseVerdict(JSON.stringify(value));

test("a verdict and a logout's tombstone survive their JSON", () => {
  const tombstone = { v: 1, gen: 4, gone: true, at: 5 };
  const { device_id: _, ...bare } = live;
  for (const verdict of [live, bare, tombstone]) assert.deepEqual(parse(verdict), verdict);
});

test("what is not exactly a verdict lets nobody in", () => {
  for (const text of ["", "{}", "null", "true", '{"v":1,"gen":1}']) assert.equal(parseVerdict(text), undefined, text);
  const wrong = [
    { v: 2 },
    { user_id: "" },
    { user_id: undefined },
    { is_guest: undefined },
    { exp: "never" },
    { policy: {} },
  ];
  for (const change of [...wrong, { gone: true }, { gone: false }]) {
    assert.equal(parse({ ...live, ...change }), undefined, JSON.stringify(change));
  }
});
