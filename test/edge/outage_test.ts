import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { startEdge } from "../support/edge.ts";
import { type Asked, ask } from "./ask.ts";
import { HOP_SECRET } from "./origin_double.ts";
import { openStage, publishTo, SERVER, TOKEN, v1, v3 } from "./stage.ts";

const UPLOAD = { method: "POST", body: Buffer.from("bytes") };

function assertGatewayError(answer: Asked, status: number): void {
  assert.equal(answer.status, status);
  assert.equal(answer.json().errcode, "M_UNKNOWN");
  assert.match(answer.headers["retry-after"] ?? "", /^[1-9]\d*$/);
  assert.equal(answer.headers["cache-control"], "no-store");
  assert.equal(answer.headers["access-control-allow-origin"], "*");
}

test("with the origin stopped, what was cached is served with the same headers; the rest is 502 at once", async () => {
  const stage = await openStage();
  try {
    const thumbnail = { width: 32, height: 32, method: "crop", animated: false, format: "auto" } as const;
    const small = `/_matrix/client/v1/media/thumbnail/${SERVER}/kept?width=32&height=32&method=crop`;
    await stage.publish({ mediaId: "kept" });
    await stage.publish({ mediaId: "kept", thumbnail, bytes: Buffer.from("small"), type: "image/jpeg" });
    const ways = [
      { path: v1("kept"), options: { token: TOKEN } },
      { path: v1("kept"), options: { token: TOKEN, headers: { range: "bytes=0-3" } } },
      { path: small, options: { token: TOKEN } },
      { path: v3("kept"), options: {} },
    ];
    const before = [];
    for (const { path, options } of ways) before.push(await ask(stage.edge.url, path, options));
    await stage.origin.close();
    for (const [index, { path, options }] of ways.entries()) {
      const answer = await ask(stage.edge.url, path, options);
      assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit", path);
      assert.deepEqual(answer.headers, before[index]?.headers, path);
      assert.deepEqual(answer.body, before[index]?.body, path);
    }
    const started = Date.now();
    assertGatewayError(await ask(stage.edge.url, v1("unknown"), { token: TOKEN }), 502);
    assertGatewayError(await ask(stage.edge.url, v1("kept"), { token: "never-seen" }), 502);
    assertGatewayError(await ask(stage.edge.url, v3("unknown")), 502);
    assertGatewayError(await ask(stage.edge.url, "/_matrix/media/v3/upload", UPLOAD), 502);
    assert.ok(Date.now() - started < 30_000, "no client waits for an origin that is not there");
  } finally {
    await stage.close();
  }
});

test("an origin that takes requests and never answers is 504 within the deadline, for tokens too", async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => void sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  const vars = { ORIGIN_TIMEOUT_MS: "400" };
  const edge = await startEdge({ originUrl: `http://127.0.0.1:${port}`, hopSecret: HOP_SECRET, vars });
  try {
    const started = Date.now();
    assertGatewayError(await ask(edge.url, v3("unknown")), 504);
    await publishTo(edge.bucket, { mediaId: "there" });
    assertGatewayError(await ask(edge.url, v1("there"), { token: "any" }), 504);
    const herd = await Promise.all(Array.from({ length: 50 }, () => ask(edge.url, v1("there"), { token: "other" })));
    for (const answer of herd) assertGatewayError(answer, 504);
    assert.ok(Date.now() - started < 30_000, "nobody waits as long as an origin that answers may take");
  } finally {
    await edge.dispose();
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test("errors of what stands in front of the origin become Matrix errors; the origin's own are passed on", async () => {
  const stage = await openStage();
  try {
    const cases = [
      { status: 502, type: "text/html", expected: 502 },
      { status: 504, type: "text/html", expected: 504 },
      { status: 521, type: "text/html", expected: 502 },
      { status: 524, type: "application/json", expected: 504 },
    ];
    for (const { status, type, expected } of cases) {
      stage.origin.on("/broken", (_request, response) => {
        response.writeHead(status, { "content-type": type }).end("<h1>Bad gateway</h1>");
      });
      assertGatewayError(await ask(stage.edge.url, "/broken"), expected);
    }
    const own = { errcode: "M_NOT_YET_UPLOADED", error: "Not yet" };
    stage.origin.on("/pending", (_request, response) => {
      response.writeHead(504, { "content-type": "application/json" }).end(JSON.stringify(own));
    });
    const answer = await ask(stage.edge.url, "/pending");
    assert.equal(answer.status, 504);
    assert.deepEqual(answer.json(), own);
  } finally {
    await stage.close();
  }
});

test("an origin that dies in the middle of an answer cuts it: never a short 200", async () => {
  const stage = await openStage();
  try {
    stage.origin.on(v1("dying"), (_request, response) => {
      response.writeHead(200, { "content-type": "image/png", "content-length": "100000" });
      response.write(Buffer.alloc(50_000), () => response.destroy());
    });
    await assert.rejects(ask(stage.edge.url, v1("dying"), { token: TOKEN }));
  } finally {
    await stage.close();
  }
});
