import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { before, beforeEach, describe, test } from "node:test";
import { ask, type Heard, jsonOf, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { flood as floodSocket, startRawServer } from "../support/raw_server.ts";
import { envelope, type RemoteServer } from "../support/remote_server.ts";
import { openStage, openStream, SERVER, type Stage, USER, until } from "./stage.ts";

const DOWNLOAD = "/_matrix/federation/v1/media/download/";
const MULTIPART = { "content-type": "multipart/mixed; boundary=b0undary" };
const MAX_BYTES = 5_000_000;
/** What may be on its way beside what is read: buffers of both ends. */
const ON_THE_WAY = 8_000_000;
/** Nobody waits longer here, and other servers are waited for four times as long where nothing else is configured. */
const EARLY_MS = 30_000;

const lifetime = lifetimeOfSuite();
let stage: Stage;
let left: { rows: number; files: number };

before(async () => {
  stage = await openStage(lifetime, { more: `downloads: { maxBytes: ${MAX_BYTES} }` });
});

beforeEach(async () => {
  stage.remote.instead.clear();
  left = { rows: (await stage.rows()).length, files: await stage.files() };
});

/** The last of it is removed just after the client has heard. */
async function nothingStored(): Promise<void> {
  await until(async () => (await stage.files()) === left.files);
  assert.equal((await stage.rows()).length, left.rows);
}

/** Sends without end, as fast as it is read; tells how many bytes went. */
async function flood(response: ServerResponse, chunk: Buffer, counter: { sent: number }): Promise<void> {
  response.setMaxListeners(0);
  while (!response.destroyed && counter.sent < 1_000_000_000) {
    counter.sent += chunk.length;
    if (!response.write(chunk)) {
      await new Promise<void>((resolve) => {
        response.once("drain", resolve);
        response.once("close", resolve);
      });
    }
  }
}

/** Asks for a media; a connection that breaks is an answer too. */
async function get(id: string, from = stage): Promise<Heard | "broken"> {
  return await from.get(id, { suffix: "?timeout_ms=0" }).catch(() => "broken" as const);
}

function isRefused(heard: Heard | "broken", statuses: readonly number[] = [502, 504]): void {
  if (heard === "broken") return;
  assert.ok(statuses.includes(heard.status), `${heard.status} ${heard.body.subarray(0, 200)}`);
  assert.equal(typeof jsonOf(heard).errcode, "string");
}

describe("a server that sends without end", () => {
  const FLOODS: readonly [string, string, Buffer][] = [
    [
      "a body",
      "Content-Type: application/json\r\n\r\n{}\r\n--b0undary\r\nContent-Type: text/plain\r\n\r\n",
      Buffer.alloc(65_536, "x"),
    ],
    ["metadata", "Content-Type: application/json\r\n\r\n[", Buffer.alloc(65_536, "1,")],
    ["headers of a part", "X-Header: ", Buffer.alloc(65_536, "x")],
    ["parts", "Content-Type: application/json\r\n\r\n{}", Buffer.from("\r\n--b0undary\r\nX: y\r\n".repeat(3_000))],
  ];
  for (const [name, head, chunk] of FLOODS) {
    test(`is cut off early: ${name}`, async () => {
      const counter = { sent: 0 };
      const id = `flood-${name.replaceAll(" ", "-")}`;
      stage.remote.instead.set(DOWNLOAD + id, async (_, response) => {
        response.writeHead(200, MULTIPART);
        response.write(`\r\n--b0undary\r\n${head}`);
        await flood(response, chunk, counter);
      });
      const rss = process.memoryUsage().rss;
      const start = performance.now();
      const heard = await get(id);
      isRefused(heard);
      assert.ok(performance.now() - start < EARLY_MS);
      assert.ok(counter.sent < MAX_BYTES + ON_THE_WAY, `${counter.sent} bytes were taken`);
      assert.ok(process.memoryUsage().rss - rss < 200_000_000);
      await nothingStored();
    });
  }

  test("is cut off early: keys", async () => {
    const server = await stage.world.start();
    const counter = { sent: 0 };
    server.instead.set("/_matrix/key", async (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      await flood(response, Buffer.alloc(65_536, '{"a":'), counter);
    });
    const mxc = await upload(stage.url, USER, "media of ours ".repeat(20));
    const uri = `/_matrix/federation/v1/media/download/${mxc.split("/")[1]}`;
    const heard = await ask(stage.url, uri, { headers: { authorization: await server.sign(SERVER, uri) } });
    assert.equal(heard.status, 502);
    assert.ok(counter.sent < ON_THE_WAY, `${counter.sent} bytes were taken`);
  });
});

test("a server that sends an endless reason phrase for its keys is cut off early", async () => {
  let sent: Promise<number> | undefined;
  const server = await startRawServer((socket) => {
    socket.write("HTTP/1.1 200 ");
    sent ??= floodSocket(socket, "x".repeat(65_536));
  }, stage.world.authority.issue("IP:127.0.0.1"));
  lifetime.after(() => server.close());
  const mxc = await upload(stage.url, USER, "media of ours ".repeat(20));
  const uri = `/_matrix/federation/v1/media/download/${mxc.split("/")[1]}`;
  const authorization = `X-Matrix origin="127.0.0.1:${server.port}",destination="${SERVER}",key="ed25519:x",sig="${"A".repeat(86)}"`;
  assert.equal((await ask(stage.url, uri, { headers: { authorization } })).status, 502);
  assert.ok(((await sent) ?? 0) < ON_THE_WAY);
});

describe("a server that takes its time", () => {
  const drip = (response: ServerResponse, bytes: string) => {
    const timer = setInterval(() => response.write(bytes), 50);
    response.once("close", () => clearInterval(timer));
  };

  let hasty: Stage;
  before(async () => {
    hasty = await openStage(lifetime, { more: "timeouts: { federationTimeoutSeconds: 2 }" });
  });

  async function nothingStoredInHaste(): Promise<void> {
    await until(async () => (await hasty.files()) === 0);
    assert.deepEqual(await hasty.rows(), []);
  }

  test("with every byte of a body is waited for as long as configured, and no longer", async () => {
    hasty.remote.instead.set(`${DOWNLOAD}drip`, (_, response) => {
      response.writeHead(200, MULTIPART);
      response.write(envelope({ bytes: Buffer.from("slow") }).subarray(0, -20));
      drip(response, "x");
    });
    const start = performance.now();
    const stream = await openStream(hasty.url, `${hasty.path("drip")}?timeout_ms=0`, { token: USER });
    // Where the machine is so slow that the time was over before the first byte.
    if (stream.response.statusCode === 504) await stream.end();
    else await assert.rejects(stream.end());
    assert.ok(performance.now() - start < EARLY_MS);
    await nothingStoredInHaste();
  });

  test("with its headers, or says nothing at all, is 504", async () => {
    for (const [id, behave] of [
      ["silent", () => undefined],
      ["trickle", (response: ServerResponse) => drip(response.writeHead(200, MULTIPART), "\r\n")],
    ] as const) {
      hasty.remote.instead.set(DOWNLOAD + id, (_, response) => void behave(response));
      const start = performance.now();
      isRefused(await get(id, hasty), [504, 502]);
      assert.ok(performance.now() - start < EARLY_MS);
    }
    await nothingStoredInHaste();
  });
});

describe("a server that leads elsewhere", () => {
  test("in circles is followed a few times and no more", async () => {
    stage.remote.instead.set(`${DOWNLOAD}circle`, (request, response) => {
      response.writeHead(302, { location: request.url ?? "" }).end();
    });
    isRefused(await get("circle"));
    assert.ok(stage.remote.asked(`${DOWNLOAD}circle`) <= 6);
    await nothingStored();
  });

  test("with a certificate of another name hears nothing of us", async () => {
    const other: RemoteServer = await stage.world.start({ certificateFor: "IP:127.0.0.9" });
    const path = stage.path("some").replace(stage.remote.name, other.name);
    isRefused(await ask(stage.url, path, { token: USER }));
    assert.deepEqual(other.listener.asked, []);
  });

  test("by a Location is followed without credentials, and its type and name count", async () => {
    const other = await stage.world.start();
    const seen: unknown[] = [];
    other.instead.set("/cdn/", (request, response) => {
      seen.push(request.headers.authorization, request.headers.cookie);
      response.writeHead(200, { "content-type": "image/png", "content-disposition": 'inline; filename="x.png"' });
      response.end("from the cdn");
    });
    const { frameLocation } = await import("../support/multipart.ts");
    stage.remote.instead.set(`${DOWNLOAD}moved`, (_, response) => {
      const { head, tail } = frameLocation("b0undary", `https://${other.name}/cdn/file?signature=secret`);
      response.writeHead(200, MULTIPART).end(Buffer.concat([head, tail]));
    });
    const heard = await get("moved");
    assert.ok(heard !== "broken");
    assert.equal(heard.body.toString(), "from the cdn");
    assert.equal(heard.headers["content-type"], "image/png");
    assert.match(heard.headers["content-disposition"] ?? "", /x\.png/);
    assert.deepEqual(seen, [undefined, undefined]);
  });
});

test("an envelope inside the envelope is bytes like any other, and never shown inline", async () => {
  const inner = envelope({ bytes: Buffer.from("<script>"), type: "text/html" }, "another");
  stage.remote.media.set("nested", { bytes: inner, type: "multipart/mixed; boundary=another", disposition: "inline" });
  const heard = await get("nested");
  assert.ok(heard !== "broken");
  assert.ok(heard.body.equals(inner));
  assert.match(heard.headers["content-disposition"] ?? "", /^attachment/);
  assert.equal(heard.headers["x-content-type-options"], "nosniff");
});

test("headers that another server sends cannot become headers of ours", async () => {
  stage.remote.instead.set(`${DOWNLOAD}inject`, (_, response) => {
    const part =
      'Content-Type: text/html;\r\n\tcharset=x\x01, text/html\r\nContent-Disposition: inline; filename="a\x0b\\"b.html"';
    response.writeHead(200, MULTIPART);
    response.end(
      `\r\n--b0undary\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0undary\r\n${part}\r\n\r\nx\r\n--b0undary--`,
    );
  });
  const heard = await get("inject");
  assert.ok(heard !== "broken");
  assert.match(heard.headers["content-disposition"] ?? "", /^attachment/);
  assert.match(heard.headers["content-type"] ?? "", /^(text\/html|application\/octet-stream)$/);
});
