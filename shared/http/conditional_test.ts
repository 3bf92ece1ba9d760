import assert from "node:assert/strict";
import { test } from "node:test";
import { formatHttpDate, isNotModified, isPreconditionFailed, parseHttpDate, rangeApplies } from "./conditional.ts";

const present = { etag: '"abc"', lastModifiedMs: Date.UTC(2024, 0, 2, 3, 4, 5, 678) };
const SAME = "Tue, 02 Jan 2024 03:04:05 GMT";
const EARLIER = "Tue, 02 Jan 2024 03:04:04 GMT";
const LATER = "Tue, 02 Jan 2024 03:04:06 GMT";

test("without conditions everything is modified and every range applies", () => {
  for (const absent of [{}, { ifNoneMatch: null, ifModifiedSince: null, ifRange: null }]) {
    assert.equal(isNotModified(absent, present), false);
    assert.equal(rangeApplies(absent, present), true);
    assert.equal(isPreconditionFailed(absent, present), false);
  }
});

test("If-Match is compared strongly, in lists, and with *", () => {
  for (const ifMatch of ['"abc"', '"x", "abc"', '"x","abc","y"', 'W/"x",\t"abc"', "*", " * "]) {
    assert.equal(isPreconditionFailed({ ifMatch }, present), false, ifMatch);
  }
  for (const ifMatch of ['W/"abc"', '"x"', '"ABC"', "abc", '"abc', '"x,abc"', '"*"', ""]) {
    assert.equal(isPreconditionFailed({ ifMatch }, present), true, ifMatch);
  }
  assert.equal(isPreconditionFailed({ ifMatch: 'W/"abc"' }, { ...present, etag: 'W/"abc"' }), true);
});

test("If-Unmodified-Since counts in whole seconds, unless there is an If-Match", () => {
  for (const ifUnmodifiedSince of [SAME, LATER, "Tuesday, 02-Jan-24 03:04:05 GMT", "", "yesterday"]) {
    assert.equal(isPreconditionFailed({ ifUnmodifiedSince }, present), false, ifUnmodifiedSince);
  }
  assert.equal(isPreconditionFailed({ ifUnmodifiedSince: EARLIER }, present), true);
  assert.equal(isPreconditionFailed({ ifMatch: '"abc"', ifUnmodifiedSince: EARLIER }, present), false);
  assert.equal(isPreconditionFailed({ ifMatch: '"x"', ifUnmodifiedSince: LATER }, present), true);
});

test("a list of tags is read to its eight thousandth character", () => {
  const padded = (tag: string) => `${'"x", '.repeat(50_000)}${tag}`;
  assert.equal(isNotModified({ ifNoneMatch: padded('"abc"') }, present), false);
  assert.equal(isPreconditionFailed({ ifMatch: padded('"abc"') }, present), true);
});

test("If-None-Match is compared weakly, in lists, and with *", () => {
  for (const ifNoneMatch of [
    '"abc"',
    'W/"abc"',
    '"x", "abc"',
    '"x","abc","y"',
    '"a,b" ,\tW/"abc"',
    "*",
    " * ",
    ',"abc",',
  ]) {
    assert.equal(isNotModified({ ifNoneMatch }, present), true, ifNoneMatch);
  }
  for (const ifNoneMatch of [
    '"x"',
    '"ABC"',
    "abc",
    '"abc',
    'abc"',
    'w/"abc"',
    '"x,abc"',
    'x"abc"',
    '"abc"x',
    "",
    '"*"',
  ]) {
    assert.equal(isNotModified({ ifNoneMatch }, present), false, ifNoneMatch);
  }
});

test("If-Modified-Since counts in whole seconds, in all three forms of a date", () => {
  for (const ifModifiedSince of [SAME, LATER, "Tuesday, 02-Jan-24 03:04:05 GMT", "Tue Jan  2 03:04:05 2024"]) {
    assert.equal(isNotModified({ ifModifiedSince }, present), true, ifModifiedSince);
  }
  for (const ifModifiedSince of [EARLIER, "", "yesterday", "2030-01-01", String(Date.UTC(2030, 0))]) {
    assert.equal(isNotModified({ ifModifiedSince }, present), false, ifModifiedSince);
  }
});

test("If-None-Match takes precedence over If-Modified-Since", () => {
  assert.equal(isNotModified({ ifNoneMatch: '"x"', ifModifiedSince: LATER }, present), false);
  assert.equal(isNotModified({ ifNoneMatch: "broken", ifModifiedSince: LATER }, present), false);
  assert.equal(isNotModified({ ifNoneMatch: '"abc"', ifModifiedSince: EARLIER }, present), true);
});

test("If-Range needs a strong tag or the very date", () => {
  for (const ifRange of ['"abc"', SAME]) assert.equal(rangeApplies({ ifRange }, present), true, ifRange);
  for (const ifRange of ['W/"abc"', '"x"', '"x", "abc"', "*", "abc", EARLIER, LATER, "soon", ""]) {
    assert.equal(rangeApplies({ ifRange }, present), false, ifRange);
  }
  assert.equal(rangeApplies({ ifRange: 'W/"abc"' }, { ...present, etag: 'W/"abc"' }), false);
});

const TIME = Date.UTC(1994, 10, 6, 8, 49, 37);

test("a time is written in the preferred form, without its milliseconds", () => {
  assert.equal(formatHttpDate(TIME + 999), "Sun, 06 Nov 1994 08:49:37 GMT");
});

test("the three forms of RFC 9110 are read", () => {
  assert.equal(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), TIME);
  assert.equal(parseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT"), TIME);
  assert.equal(parseHttpDate("Sun Nov  6 08:49:37 1994"), TIME);
  assert.equal(parseHttpDate("Wednesday, 06-Nov-30 00:00:00 GMT"), Date.UTC(2030, 10, 6));
  assert.equal(parseHttpDate("Sat, 31 Dec 2016 23:59:60 GMT"), Date.UTC(2017, 0, 1));
});

test("anything else is no date", () => {
  const texts = [
    ...["", "now", "0", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 +0100"],
    ...["Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT"],
    ...["Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT"],
    "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
  ];
  for (const text of texts) assert.equal(parseHttpDate(text), undefined, text);
});
