import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startOrigin } from "../support/app.ts";
import { openTestBucket } from "../support/bucket.ts";
import { listFiles } from "../support/files.ts";
import { startHomeserver } from "../support/homeserver.ts";
import { ask, upload } from "../support/http.ts";
import type { Lifetime } from "../support/lifetime.ts";
import { LOOPBACK_FEDERATION, makeRemoteWorld } from "../support/remote_server.ts";
import { openStream, SERVER, USER, until } from "./stage.ts";

const MIB = 1_048_576;

/** A bucket on loopback, and how often its objects were read. */
async function openCountedBucket(lifetime: Lifetime) {
  const { endpoint, bucket: bucketName, accessKeyId, accessSecret } = await openTestBucket(lifetime);
  const store = new URL(endpoint);
  let reads = 0;
  const proxy = createServer((request, response) => {
    if (request.method === "GET" && !request.url?.includes("list-type")) reads += 1;
    const { method, headers, url: path } = request;
    const onward = httpRequest({ hostname: store.hostname, port: store.port, method, headers, path }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    response.on("close", () => onward.destroy());
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  lifetime.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const { port } = proxy.address() as AddressInfo;
  const opts = { endpoint: `http://127.0.0.1:${port}${store.pathname}`, bucketName, accessKeyId, accessSecret };
  return { opts, reads: () => reads };
}

test("many servers that want one body of a store elsewhere cost one reading, however slow one of them is", async (t) => {
  const { opts, reads } = await openCountedBucket(t);
  const homeserver = await startHomeserver({ [USER]: { user_id: `@user:${SERVER}` } });
  t.after(() => homeserver.close());
  const world = makeRemoteWorld(t);
  const remote = await world.start();
  const tempPath = await mkdtemp(join(tmpdir(), "mxcdn-copies-"));
  t.after(() => rm(tempPath, { recursive: true, force: true }));
  const stores = [{ id: "far", type: "s3", forKinds: ["all"], opts: { ...opts, tempPath } }];
  const { url } = await startOrigin(t, {
    homeservers: { [SERVER]: homeserver.url },
    yaml: `federation: ${LOOPBACK_FEDERATION}\n`,
    files: [{ name: "stores.yaml", text: `datastores: ${JSON.stringify(stores)}` }],
    overrides: { outboundCa: world.authority.ca },
  });
  for (const size of [MIB, MIB + 1, 20 * MIB]) {
    const bytes = randomBytes(size);
    const id = (await upload(url, USER, bytes)).split("/")[1];
    const path = `/_matrix/federation/v1/media/download/${id}`;
    const authorization = await remote.sign(SERVER, path);
    const before = reads();
    const slow = await openStream(url, path, { authorization, paused: true });
    const heard = await Promise.all(Array.from({ length: 10 }, () => ask(url, path, { headers: { authorization } })));
    for (const { status, body } of heard) {
      assert.equal(status, 200);
      assert.ok(body.includes(bytes));
    }
    assert.equal(reads() - before, 1, String(size));
    slow.leave();
  }
  await until(async () => (await listFiles(tempPath)).length === 0);
});
