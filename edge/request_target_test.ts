import assert from "node:assert/strict";
import { test } from "node:test";
import { rawTarget, sendableTarget } from "./request_target.ts";

test("rawTarget() takes path and query as they are, without a fragment", () => {
  assert.equal(rawTarget("http://host/a/%2e%2e//b?x=%zz#part"), "/a/%2e%2e//b?x=%zz");
  assert.equal(rawTarget("http://host"), "/");
  assert.equal(rawTarget("http://host/?"), "/?");
});

test("sendableTarget() changes no character that a URL may hold", () => {
  for (const target of ["/", "//a//", "/a%2Fb%zz|:@!$&'()*+,;=~...", "/..a/b../...", "/a?b=../%2e%2e/..&c='{}\"<>\\"]) {
    assert.equal(sendableTarget(target), target);
  }
});

test("sendableTarget() encodes what no URL may hold", () => {
  assert.equal(sendableTarget('/{"}\u00e9?\u00e9\ud800 '), "/%7B%22%7D%C3%A9?%C3%A9%EF%BF%BD%20");
});

test("sendableTarget() refuses a path that the URL standard would resolve to another", () => {
  for (const path of ["/.", "/a/..", "/a/../b", "/%2e", "/%2E%2e/x", "/.%2e", "/a\\b"]) {
    assert.equal(sendableTarget(path), undefined, path);
  }
});
