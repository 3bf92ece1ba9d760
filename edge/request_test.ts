import assert from "node:assert/strict";
import { test } from "node:test";
import { isInternal, isReadable, rawTarget, routableUrl, urlTarget } from "./request.ts";

test("rawTarget() takes path and query as they are", () => {
  assert.equal(rawTarget("http://host/a/%2e%2e//b?x=%zz#part"), "/a/%2e%2e//b?x=%zz#part");
  assert.equal(rawTarget("http://host"), "/");
  assert.equal(rawTarget("http://host/?"), "/?");
});

test("isReadable() takes what is visible in ASCII, and nothing else", () => {
  for (const target of ["/", "/a%2Fb%zz|:@!$&'()*+,;=~?{}<>\"\\^`#"]) assert.equal(isReadable(target), true, target);
  for (const target of ["/\u00e9", "/a?\u{1f414}", "/a b", "/\u007f", "/a\u0000"])
    assert.equal(isReadable(target), false);
});

test("urlTarget() leaves alone what a URL holds as it is, whatever the query", () => {
  for (const target of [
    "/",
    "//a//",
    "/a%2Fb%zz|:@!$&'()*+,;=~...",
    "/..a/b../...",
    "/a?b=../%2e%2e/..&c='{}\"<>\\#d",
  ]) {
    assert.equal(urlTarget(target), target);
  }
});

test("urlTarget() lets the signature carry what the URL standard would change", () => {
  for (const path of ["/.", "/a/..", "/a/../b", "/%2e", "/%2E%2e/x", "/.%2e", "/a\\b", "/a#b", '/{"}']) {
    assert.equal(urlTarget(path), "/_mxcdn/v1/forward", path);
    assert.equal(urlTarget(`${path}?query`), "/_mxcdn/v1/forward", path);
  }
});

test("isInternal() knows the paths between the tiers, however they are written", () => {
  for (const target of ["/_mxcdn/v1/verdict", "//_mxcdn/", "/%5fmxcdn/x?y", "/_MXCDN/v1/forward"]) {
    assert.equal(isInternal(target), true, target);
  }
  for (const target of ["/_mxcdn", "/a/_mxcdn/", "/?/_mxcdn/"]) assert.equal(isInternal(target), false, target);
});

test("routableUrl() keeps every character of the path apart from all others", () => {
  assert.equal(new URL(routableUrl("/a/%2e%2e/b\\c#d?e")).pathname, "/a/%252e%252e/b%5Cc%23d");
  assert.equal(new URL(routableUrl("//a/%2F")).pathname, "//a/%252F");
});
