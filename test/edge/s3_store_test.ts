import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import { type RunningEdge, startEdge } from "../support/edge.ts";
import { ask } from "./ask.ts";
import { HOP_SECRET, type OriginDouble, startOriginDouble } from "./origin_double.ts";
import { publishTo, SERVER, TOKEN, v1 } from "./stage.ts";

let store: RunningEdge;
let edge: RunningEdge;
let origin: OriginDouble;
let proxy: Awaited<ReturnType<typeof startProxy>>;

/** A real S3 API (Miniflare's), a door in front of it that counts, and an edge without a binding. */
before(async () => {
  origin = await startOriginDouble();
  origin.verdicts.set(TOKEN, { scope: "memory", verdict: {} });
  store = await startEdge({ originUrl: origin.url, hopSecret: HOP_SECRET });
  proxy = await startProxy(store.s3.endpoint);
  const { endpoint, bucket, accessKeyId, secretAccessKey } = { ...store.s3, endpoint: proxy.endpoint };
  const vars = {
    S3_ENDPOINT: endpoint,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
  };
  edge = await startEdge({ originUrl: origin.url, hopSecret: HOP_SECRET, vars, withoutBinding: true });
});
after(async () => {
  await edge.dispose();
  await store.dispose();
  await proxy.close();
  await origin.close();
});

test("over S3, a hit is the same: whole, range, and its length", async () => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 241));
  await publishTo(store.bucket, { mediaId: "over_s3", bytes, type: "text/plain" });
  const whole = await ask(edge.url, v1("over_s3"), { token: TOKEN });
  assert.equal(whole.headers["cache-status"], "mxcdn-edge; hit");
  assert.equal(whole.headers["content-length"], "300000");
  assert.deepEqual(whole.body, bytes);
  const part = await ask(edge.url, v1("over_s3"), { token: TOKEN, headers: { range: "bytes=1000-1999" } });
  assert.equal(part.status, 206);
  assert.equal(part.headers["content-length"], "1000");
  assert.deepEqual(part.body, bytes.subarray(1_000, 2_000));
  const reads = proxy.asked.filter((path) => path.endsWith(descriptorKey({ serverName: SERVER, mediaId: "over_s3" })));
  assert.equal(reads.length, 1);
});

test("over S3, keys with colons and brackets are found", async () => {
  for (const serverName of ["example.org:8448", "[2001:db8::1]:80"]) {
    const mxc = { serverName, mediaId: "odd" };
    const { body, ...rest } = await publishTo(store.bucket, { mediaId: "odd" });
    await store.bucket.put(descriptorKey(mxc), JSON.stringify({ ...rest, body, server_name: serverName }));
    const path = `/_matrix/client/v1/media/download/${encodeURIComponent(serverName)}/odd`;
    const answer = await ask(edge.url, path, { token: TOKEN });
    assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit", serverName);
  }
});

test("over S3, an absent object is a miss and an error of the store is none", async () => {
  const absent = await ask(edge.url, v1("not_there"), { token: TOKEN });
  assert.equal(absent.headers["cache-status"], "mxcdn-edge; fwd=uri-miss");
  const spec = { width: 32, height: 32, method: "crop", animated: false, format: "auto" } as const;
  await publishTo(store.bucket, { mediaId: "half" });
  proxy.broken.add(thumbnailKey({ serverName: SERVER, mediaId: "half" }, spec));
  const path = `/_matrix/client/v1/media/thumbnail/${SERVER}/half?width=32&height=32&method=crop`;
  const broken = await ask(edge.url, path, { token: TOKEN });
  assert.equal(broken.headers["cache-status"], "mxcdn-edge; fwd=bypass; detail=store-error");
  const { body = "" } = await publishTo(store.bucket, { mediaId: "bodiless", bytes: Buffer.from("no bytes") });
  proxy.broken.add(body);
  const bodiless = await ask(edge.url, v1("bodiless"), { token: TOKEN });
  assert.equal(bodiless.headers["cache-status"], "mxcdn-edge; fwd=miss; detail=store-error");
});

/** Passes everything on untouched (the signature covers the Host), counts, and answers 500 for what is `broken`. */
async function startProxy(target: string) {
  const asked: string[] = [];
  const broken = new Set<string>();
  const to = new URL(target);
  function pass(from: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(from.url ?? "");
    asked.push(path);
    if ([...broken].some((key) => path.endsWith(key))) return void response.writeHead(500).end();
    const { method, headers, url: sent } = from;
    const onward = request(
      { hostname: to.hostname, port: to.port, path: sent, method, headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    from.pipe(onward);
  }
  const server = createServer(pass);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    asked,
    broken,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}${to.pathname}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
