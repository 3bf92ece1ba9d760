import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePattern } from "./pattern.ts";

test("patterns are found anywhere, as matrix-media-repo finds them", () => {
  assert.match("@_irc_bob:example.org", compilePattern("@_irc_.*:example\\.org"));
  assert.match("@_irc_bob:example.org", compilePattern("irc"));
});

test("a leading (?i) and escapes that only Go and Python know are understood", () => {
  assert.match("@BOB:example.org", compilePattern("(?i)@bob"));
  assert.match("@a-b:example.org", compilePattern("\\@a\\-b"));
});

test("what is no pattern, is too long, or could take for ever is refused", () => {
  for (const source of [
    "(",
    "[",
    "a".repeat(513),
    "(a+)+",
    "(a*)*b",
    "(?:x{2,})*",
    "([a-z]+)*:example",
    "(\\[a+)*",
    "([+]+)+",
  ]) {
    assert.throws(() => compilePattern(source), Error, source);
  }
});

test("repetitions beside each other, and groups that repeat nothing themselves, are fine", () => {
  for (const source of ["@(irc|xmpp)_.*", "(ab)+c*", "a+b+", "(?:x|y)*", "@sms_([0-9+])*:example.org", "([\\]*+])*"])
    assert.ok(compilePattern(source), source);
});
