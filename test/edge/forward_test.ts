import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { ask } from "./ask.ts";
import { openStage, type Stage, TOKEN, v1 } from "./stage.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

const received = () => stage.origin.received.at(-1);

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition() && waited < 60_000; waited += 10) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(condition(), "it did not happen within 60 s");
}

test("an upload of 20 MB reaches the origin byte for byte, with its length, and while it is still being sent", async () => {
  const path = "/_matrix/media/v3/upload?filename=a%20b.png";
  const chunk = Buffer.alloc(500_000, "x");
  const size = 40 * chunk.length;
  stage.origin.on("/_matrix/media/v3/upload", (_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"content_uri":"mxc://example.org/up"}');
  });
  async function* slowly() {
    yield chunk;
    await until(() => stage.origin.begun.includes(path));
    for (let sent = chunk.length; sent < size; sent += chunk.length) yield chunk;
  }
  const answer = await ask(stage.edge.url, path, {
    method: "POST",
    headers: { "content-length": String(size), "content-type": "image/png", authorization: `Bearer ${TOKEN}` },
    body: slowly(),
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.json().content_uri, "mxc://example.org/up");
  assert.equal(answer.headers["cache-status"], "mxcdn-edge; fwd=method");
  const upload = received();
  assert.equal(upload?.headers["content-length"], String(size));
  assert.equal(upload?.headers["content-type"], "image/png");
  assert.equal(upload?.headers.authorization, `Bearer ${TOKEN}`);
  assert.equal(upload?.bodyBytes, size);
  assert.equal(upload?.bodySha256, createHash("sha256").update(Buffer.alloc(size, "x")).digest("hex"));
  assert.equal(upload?.hop?.target, path);
});

test("a body without a length is streamed too", async () => {
  async function* chunks() {
    yield Buffer.from("one ");
    yield Buffer.from("two");
  }
  await ask(stage.edge.url, "/_matrix/media/v3/upload", { method: "POST", body: chunks() });
  assert.equal(received()?.bodyBytes, 7);
  assert.equal(received()?.bodySha256, createHash("sha256").update("one two").digest("hex"));
});

test("what the origin refuses early reaches the client before it has sent everything", async () => {
  stage.origin.refuseEarly("/too-large", 413, { errcode: "M_TOO_LARGE", error: "no" });
  let answered = false;
  async function* endless() {
    yield Buffer.alloc(100_000);
    await until(() => answered);
  }
  const headers = { "content-length": "1000000" };
  const sent = ask(stage.edge.url, "/too-large", { method: "PUT", headers, body: endless() });
  const answer = await sent.finally(() => {
    answered = true;
  });
  assert.equal(answer.status, 413);
  assert.equal(answer.json().errcode, "M_TOO_LARGE");
});

test("the hop is signed by us; whatever a client writes into its headers is not passed on", async () => {
  const forged = {
    "mxcdn-hop": "v1,t=1,sig=00",
    "mxcdn-target": "/else",
    "mxcdn-request-id": "mine",
    "x-forwarded-host": "victim.example",
    "x-forwarded-for": "203.0.113.1",
    "x-forwarded-proto": "ftp",
    forwarded: "for=203.0.113.1",
    "x-real-ip": "203.0.113.1",
    "true-client-ip": "203.0.113.1",
    "cf-connecting-ip": "203.0.113.1",
    connection: "mxcdn-hop, x-forwarded-host",
    "x-harmless": "kept",
  };
  await ask(stage.edge.url, "/_matrix/media/v3/config", { headers: { ...forged, host: "media.example:8443" } });
  const { hop, headers } = received() ?? {};
  assert.equal(hop?.target, "/_matrix/media/v3/config");
  assert.equal(hop?.host, "media.example:8443");
  assert.equal(hop?.clientAddress, "", "nobody who may be trusted told the address");
  assert.match(hop?.requestId ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(headers?.["x-harmless"], "kept");
  for (const name of ["forwarded", "x-real-ip", "true-client-ip", "x-forwarded-proto", "cf-connecting-ip"]) {
    assert.equal(headers?.[name], undefined, name);
  }
  assert.doesNotMatch(
    headers?.connection ?? "",
    /mxcdn|forwarded/,
    "a proxy on the way would drop what is named there",
  );
});

test("the address in CF-Connecting-IP is the client's only where the configuration says so", async () => {
  const trusting = await openStage({ vars: { TRUST_CF_CONNECTING_IP: "true" } });
  try {
    await ask(trusting.edge.url, "/x", {
      headers: { "cf-connecting-ip": "203.0.113.1", "x-forwarded-for": "6.6.6.6" },
    });
    assert.equal(trusting.origin.received.at(-1)?.hop?.clientAddress, "203.0.113.1");
  } finally {
    await trusting.close();
  }
});

test("a redirect of the origin is the client's to follow", async () => {
  stage.origin.on("/moved", (_request, response) => {
    response.writeHead(307, { location: "https://cdn.example/signed" }).end();
  });
  const answer = await ask(stage.edge.url, "/moved");
  assert.equal(answer.status, 307);
  assert.equal(answer.headers.location, "https://cdn.example/signed");
});

test("HEAD, ranges and conditions reach the origin, and its answers come back with their lengths", async () => {
  stage.origin.on(v1("missed"), ({ method, headers }, response) => {
    if (headers["if-none-match"]) return void response.writeHead(304, { etag: '"x"' }).end();
    if (headers.range) {
      return void response.writeHead(206, { "content-range": "bytes 0-1/9", "content-length": "2" }).end("ab");
    }
    response.writeHead(200, { "content-type": "text/plain", "content-length": "9" });
    response.end(method === "HEAD" ? undefined : "abcdefghi");
  });
  const head = await ask(stage.edge.url, v1("missed"), { token: TOKEN, method: "HEAD" });
  assert.equal(head.headers["content-length"], "9");
  assert.equal(received()?.method, "HEAD");
  const whole = await ask(stage.edge.url, v1("missed"), { token: TOKEN, headers: { "accept-encoding": "gzip" } });
  assert.equal(whole.headers["content-length"], "9");
  assert.equal(whole.body.toString(), "abcdefghi");
  assert.equal(received()?.headers["accept-encoding"], "identity");
  const part = await ask(stage.edge.url, v1("missed"), { token: TOKEN, headers: { range: "bytes=0-1" } });
  assert.deepEqual([part.status, part.headers["content-range"]], [206, "bytes 0-1/9"]);
  const same = await ask(stage.edge.url, v1("missed"), { token: TOKEN, headers: { "if-none-match": '"x"' } });
  assert.equal(same.status, 304);
});

test("what caches further in say of themselves is kept in front of what we say", async () => {
  stage.origin.on("/cached", (_request, response) => {
    response.writeHead(200, { "cache-status": "inner; hit" }).end("x");
  });
  const answer = await ask(stage.edge.url, "/cached");
  assert.equal(answer.headers["cache-status"], "inner; hit, mxcdn-edge; fwd=bypass");
});
