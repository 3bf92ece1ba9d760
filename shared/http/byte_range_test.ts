import assert from "node:assert/strict";
import { test } from "node:test";
import { isPart, parseRange } from "./byte_range.ts";

const slice = (offset: number, length: number) => ({ kind: "slice", slice: { offset, length } });
const whole = { kind: "whole" };
const unsatisfiable = { kind: "unsatisfiable" };

test("a single range gives its slice, cut at the end of the body", () => {
  assert.deepEqual(parseRange("bytes=0-0", 10), slice(0, 1));
  assert.deepEqual(parseRange("bytes=2-5", 10), slice(2, 4));
  assert.deepEqual(parseRange("bytes=5-99", 10), slice(5, 5));
  assert.deepEqual(parseRange("bytes=9-", 10), slice(9, 1));
  assert.deepEqual(parseRange("bytes=0-", 10), slice(0, 10));
});

test("a suffix gives the last bytes, all of them where it is larger than the body", () => {
  assert.deepEqual(parseRange("bytes=-3", 10), slice(7, 3));
  assert.deepEqual(parseRange("bytes=-10", 10), slice(0, 10));
  assert.deepEqual(parseRange("bytes=-11", 10), slice(0, 10));
  assert.deepEqual(parseRange("bytes=-0", 10), unsatisfiable);
});

test("a range that starts behind the body is unsatisfiable", () => {
  assert.deepEqual(parseRange("bytes=10-", 10), unsatisfiable);
  assert.deepEqual(parseRange("bytes=10-20", 10), unsatisfiable);
});

test("an empty body has no slices", () => {
  assert.deepEqual(parseRange("bytes=0-", 0), unsatisfiable);
  assert.deepEqual(parseRange("bytes=0-0", 0), unsatisfiable);
  assert.deepEqual(parseRange("bytes=-0", 0), unsatisfiable);
  assert.deepEqual(parseRange("bytes=-5", 0), whole);
});

test("numbers of any length are read", () => {
  const huge = "9".repeat(400);
  assert.deepEqual(parseRange(`bytes=0-${huge}`, 10), slice(0, 10));
  assert.deepEqual(parseRange(`bytes=-${huge}`, 10), slice(0, 10));
  assert.deepEqual(parseRange(`bytes=${huge}-`, 10), unsatisfiable);
  assert.deepEqual(parseRange("bytes=0000000002-0003", 10), slice(2, 2));
});

test("the unit's case, white space around the range and empty list elements do not matter", () => {
  for (const header of ["Bytes=2-5", " bytes=2-5 ", "bytes= 2-5\t", "bytes=2-5,", "bytes=, ,2-5"]) {
    assert.deepEqual(parseRange(header, 10), slice(2, 4), header);
  }
});

test("no header, several ranges, other units and malformed headers mean the whole body", () => {
  const headers = [
    ...[
      undefined,
      null,
      "",
      "bytes",
      "bytes=",
      "bytes=-",
      "bytes=,",
      "bytes=a-b",
      "bytes=1",
      "bytes=5-2",
      "bytes=2 - 5",
    ],
    ...["bytes =2-5", "bytes=+2-5", "bytes=2-5-7", "bytes=--5", "bytes=1.5-3", "bytes=0x1-3", "bytes:2-5", "items=2-5"],
    ...["bytes=0-1,3-4", "bytes=-1, -2", "bytes=2-5;x", "bytes=0-1,x"],
  ];
  for (const header of headers) assert.deepEqual(parseRange(header, 10), whole, String(header));
});

test("a header without end is not taken apart", () => {
  for (const ranges of ["0-1,".repeat(30_000), `${",".repeat(100_000)}2-5`, `2-5${" ".repeat(100_000)}`]) {
    assert.deepEqual(parseRange(`bytes=${ranges}`, 10), whole);
  }
});

test("only the answer to a range from the first byte without an end is bounded: a resumed download gets all of the rest", () => {
  assert.deepEqual(parseRange("bytes=0-", 100, 10), slice(0, 10));
  assert.deepEqual(parseRange("bytes=1-", 100, 10), slice(1, 99));
  assert.deepEqual(parseRange("bytes=2-", 100, 10), slice(2, 98));
  assert.deepEqual(parseRange("bytes=95-", 100, 10), slice(95, 5));
  assert.deepEqual(parseRange("bytes=2-50", 100, 10), slice(2, 49));
  assert.deepEqual(parseRange("bytes=-50", 100, 10), slice(50, 50));
  assert.deepEqual(parseRange("bytes=0-50", 100, 10), slice(0, 51));
  assert.deepEqual(parseRange("bytes=0-", 100, 0), slice(0, 100));
});

test("a part is asked for by one range that is honoured and is not everything", () => {
  for (const header of ["bytes=0-0", "bytes=0-99", "bytes=5-", "bytes=-5", "bytes= 2-5 ,"])
    assert.equal(isPart(header), true, header);
  for (const header of [
    undefined,
    null,
    "",
    "bytes=0-",
    "bytes=00-",
    "bytes=-0",
    "bytes=5-2",
    "bytes=0-1,3-4",
    "x=1-2",
  ]) {
    assert.equal(isPart(header), false, String(header));
  }
});
