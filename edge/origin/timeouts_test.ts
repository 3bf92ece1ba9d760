import assert from "node:assert/strict";
import { test } from "node:test";
import { timeoutFor } from "./timeouts.ts";

const timeout = (target: string, init: RequestInit = {}, timeoutMs = 120_000) =>
  timeoutFor({ request: new Request(`http://edge${target}`, init), target }, timeoutMs);

test("what waits for media has all the time that is configured", () => {
  for (const target of [
    "/_matrix/client/v1/media/download/a.example/config",
    "/_matrix/media/v3/thumbnail/a.example/usage?width=1&height=1",
    "/_matrix/media/unstable/info/a.example/x",
    "/_matrix/federation/v1/media/download/versions?/config",
  ]) {
    assert.equal(timeout(target), 120_000, target);
  }
});

test("what is about no media is answered soon or not at all", () => {
  for (const target of [
    "/_matrix/client/v1/media/config",
    "/_matrix/media/v3/config?x=y",
    "/_matrix/client/versions",
    "/_matrix/media/version",
    "/_matrix/media/v3/usage",
    "/healthz",
  ]) {
    assert.equal(timeout(target), 30_000, target);
    assert.equal(timeout(target, {}, 400), 400, target);
  }
});

test("an upload has as long as the client takes to send it", () => {
  assert.equal(timeout("/_matrix/media/v3/upload", { method: "POST", body: "x" }), 3_600_000);
});
