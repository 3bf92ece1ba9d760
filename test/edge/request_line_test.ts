import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MAX_TARGET_LENGTH } from "../../shared/http/request_line.ts";
import { HOP_PATHS } from "../../shared/tiers/hop.ts";
import { ask } from "./ask.ts";
import { openStage, type Stage, TOKEN, v1 } from "./stage.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

const received = () => stage.origin.received.at(-1);

test("targets arrive as they were sent, in the request and in the signed hop", async () => {
  const targets = [
    "/",
    "//x//y",
    "/a%2Fb%00?x=%2e%2e/../b&y=%zz[]{}|\\^`",
    "/a'b;..;/:@!$&()*+,=~?",
    "/a|b?q='<>\"",
    "/_matrix/client/v1/media/preview_url?url=https%3A%2F%2Fx.example%2F%3Fa%3Db%26c",
  ];
  for (const target of targets) {
    assert.equal((await ask(stage.edge.url, target)).status, 404, target);
    assert.equal(received()?.hop?.target, target);
    assert.equal(received()?.url.split("?")[0], target.split("?")[0], "the path is signed as it is sent");
  }
});

test("a path that the URL standard would rewrite arrives in the signed hop only, with everything else as it was", async () => {
  const answered = { "content-type": "text/plain" };
  stage.origin.on(HOP_PATHS.forward, (_request, response) => void response.writeHead(200, answered).end("answered"));
  for (const target of ["/a/%2e%2e/b?x=1", "/a/.%2E/b", "/a/%2e", "/a\\b?y", "/a#b", '/a{b}<c>"']) {
    const body = Buffer.from("bytes");
    const answer = await ask(stage.edge.url, target, {
      method: "PUT",
      body,
      token: TOKEN,
      headers: { range: "bytes=1-" },
    });
    assert.equal(answer.body.toString(), "answered", target);
    assert.equal(received()?.url, HOP_PATHS.forward);
    assert.deepEqual([received()?.hop?.target, received()?.hop?.method], [target, "PUT"]);
    assert.equal(received()?.bodyBytes, body.length);
    assert.equal(received()?.headers.authorization, `Bearer ${TOKEN}`);
    assert.equal(received()?.headers.range, "bytes=1-");
  }
});

test("bytes that no request line may have are 400, as at the origin, and never leave the edge", async () => {
  const seen = stage.origin.received.length;
  for (const target of ["/\u00c3\u00a9", "/a?n=\u00c3\u00a9", "/\u00ff"]) {
    const answer = await ask(stage.edge.url, target);
    assert.equal(answer.status, 400);
    assert.equal(answer.json().errcode, "M_UNKNOWN");
  }
  assert.equal(stage.origin.received.length, seen);
});

test("the paths between the tiers are no client's, however they are written", async () => {
  const seen = stage.origin.received.length;
  const internal = [...Object.values(HOP_PATHS), "//_mxcdn/v1/verdict", "/%5fmxcdn/v1/verdict", "/_MXCDN/v1/verdict"];
  for (const target of internal) {
    const answer = await ask(stage.edge.url, target, { method: "POST", token: TOKEN });
    assert.equal(answer.status, 404, target);
    assert.equal(answer.json().errcode, "M_UNRECOGNIZED");
  }
  assert.equal(stage.origin.received.length, seen);
});

test("OPTIONS is answered at the edge, for every path", async () => {
  const seen = stage.origin.received.length;
  const long = "/".padEnd(MAX_TARGET_LENGTH + 1, "x");
  for (const path of [v1("x"), "/_matrix/media/v3/upload", "/anything", HOP_PATHS.verdict, long]) {
    const answer = await ask(stage.edge.url, path, { method: "OPTIONS", headers: { origin: "https://app.example" } });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers["access-control-allow-origin"], "*");
    assert.match(answer.headers["access-control-allow-headers"] ?? "", /Authorization/);
  }
  assert.equal(stage.origin.received.length, seen);
});

test("unknown paths and methods are answered by the origin; what HTTP has no use for, by the edge", async () => {
  const unknown = await ask(stage.edge.url, "/unknown");
  assert.equal(unknown.status, 404);
  assert.match(String(unknown.json().error), /Unrecognized request: \/unknown/);
  assert.equal(unknown.headers["cache-status"], "mxcdn-edge; fwd=bypass");
  const patched = await ask(stage.edge.url, v1("x"), { method: "PATCH", token: TOKEN });
  assert.equal(patched.headers["cache-status"], "mxcdn-edge; fwd=method");
  const traced = await ask(stage.edge.url, "/unknown", { method: "TRACE" });
  assert.equal(traced.status, 405);
  assert.equal(traced.headers.allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
  assert.equal((await ask(stage.edge.url, "/unknown?".padEnd(MAX_TARGET_LENGTH, "x"))).status, 404);
  const long = await ask(stage.edge.url, "/unknown?".padEnd(MAX_TARGET_LENGTH + 1, "x"));
  assert.equal(long.status, 414);
  assert.equal(long.json().errcode, "M_UNKNOWN");
});
