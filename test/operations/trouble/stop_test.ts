import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { HOP_SECRET, type OriginOptions, startOrigin } from "../../support/app.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";

const TOKEN = "token";
const CONFIG = "/_matrix/client/v1/media/config";

/** A store that takes connections and never answers. `reached` resolves when it is first asked for something. */
async function startSilentStore(lifetime: Lifetime): Promise<{ endpoint: string; reached: Promise<void> }> {
  const sockets = new Set<Socket>();
  const reached = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("data", () => reached.resolve());
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  lifetime.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, reached: reached.promise };
}

async function start(lifetime: Lifetime, options: Partial<OriginOptions> = {}) {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  lifetime.after(() => homeserver.close());
  return await startOrigin(lifetime, { homeservers: { "example.org": homeserver.url }, ...options });
}

/** An upload of which half has arrived; `finish` sends the rest. */
async function beginUpload({ url, folder }: { url: string; folder: string }, agent: Agent) {
  const half = Buffer.alloc(200_000, 1);
  const sending = request(`${url}/_matrix/media/v3/upload`, {
    agent,
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, "content-length": String(2 * half.byteLength) },
  });
  const answered = once(sending, "response");
  answered.catch(() => undefined);
  sending.on("error", () => undefined);
  sending.write(half);
  await eventually(async () => (await listFiles(`${folder}/media`)).some((path) => path.endsWith(".part")));
  return {
    async finish(): Promise<number> {
      sending.end(half);
      const [response] = await answered;
      response.resume();
      await once(response, "end");
      return response.statusCode;
    },
  };
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 50) {
    if (await condition()) return;
    await sleep(50);
  }
  assert.fail("it did not happen");
}

/** Whether nobody listens there any more. */
const isDeaf = (url: string) =>
  ask(url, CONFIG).then(
    () => false,
    () => true,
  );

describe("an origin that is stopped", () => {
  test("takes nothing new from the first moment on, also while a job is stuck, and lets what has begun end", async (t) => {
    const store = await startSilentStore(t);
    const bucket = `{ endpoint: "${store.endpoint}", bucketName: b, accessKeyId: a, accessSecret: b }`;
    const yaml = `edge: { enabled: true, hopSecret: "${HOP_SECRET}", bucket: ${bucket} }\n`;
    const origin = await start(t, { yaml });
    const { url, app } = origin;
    await app.db.query(
      `INSERT INTO edge_outbox (key, generation, document, created_at, due_at)
       SELECT 'd/example.org/' || n, 1, '{"v":1,"gen":1,"gone":true,"at":1}', 1, 1 FROM generate_series(1, 100) n`,
    );
    await store.reached;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const begun = await beginUpload(origin, agent);
    const closed = app.close();
    await eventually(() => isDeaf(url));
    assert.equal(await begun.finish(), 200);
    await closed;
  });

  test("refuses in the terms of the specification what still comes on an open connection", async (t) => {
    const { url, app } = await start(t);
    const { hostname, port } = new URL(url);
    const accepted = once(app.server.listener, "connection");
    const socket = connect(Number(port), hostname);
    let heard = "";
    socket.setEncoding("utf8").on("data", (chunk) => {
      heard += chunk;
    });
    socket.on("error", () => undefined);
    // Half of a request: the other half comes when we are ending.
    const half = `GET ${CONFIG} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${TOKEN}\r\n`;
    socket.write(half);
    const [theirs] = (await accepted) as [Socket];
    await eventually(async () => theirs.bytesRead === half.length);
    const closed = app.close();
    await eventually(() => isDeaf(url));
    socket.write("\r\n");
    await eventually(async () => heard.includes("M_UNKNOWN"));
    assert.match(heard, /^HTTP\/1\.1 503 /);
    assert.match(heard, /\r\naccess-control-allow-origin: \*\r\n/i);
    assert.match(heard, /\r\nretry-after: \d+\r\n/i);
    assert.match(heard, /\r\nconnection: close\r\n/i);
    await closed;
  });

  test("breaks off what does not end in ten seconds, and closes everything nevertheless", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
    t.after(() => rm(folder, { recursive: true }));
    const origin = await start(t, { folder });
    const { url, app } = origin;
    const id = await upload(url, TOKEN, "read at last ".repeat(50));
    assert.equal((await ask(url, `/_matrix/client/v1/media/download/${id}`, { token: TOKEN })).status, 200);
    await app.db.query("UPDATE media SET last_access_day = 1");
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const stuck = await beginUpload(origin, agent);
    await app.close();
    await assert.rejects(stuck.finish());
    const again = await startOrigin(t, { homeservers: { "example.org": "http://127.0.0.1:9" }, folder });
    const { rows } = await again.app.db.query<{ day: number }>("SELECT last_access_day AS day FROM media");
    assert.ok((rows[0]?.day ?? 0) > 1, "what was noted of reading is written down");
  });
});
