import assert from "node:assert/strict";
import { test } from "node:test";
import { formatHttpDate, parseHttpDate } from "./http_date.ts";

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
