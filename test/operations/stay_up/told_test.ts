import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { connect } from "node:net";
import { before, describe, test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
import { startOrigin, type TestOrigin } from "../../support/app.ts";
import { listFiles } from "../../support/files.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import { type Leaving, leave, requestText } from "../../support/leave.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";

/** What became of each request is told as it was, in the log and in the metrics; and what was begun is never mixed with anything else. */

const USER = "token_of_user";
const LARGE = 40_000_000;
const DOWNLOAD = "/_matrix/client/v1/media/download";
const UPLOAD = "/_matrix/media/v3/upload";
const HEADERS = { authorization: `Bearer ${USER}` };
const lifetime = lifetimeOfSuite();
const lines: Record<string, unknown>[] = [];
let homeserver: FakeHomeserver;
let origin: TestOrigin;
let large: string;

before(async () => {
  homeserver = await startHomeserver({ [USER]: { user_id: "@user:example.org" } });
  lifetime.after(() => homeserver.close());
  origin = await startOrigin(lifetime, {
    homeservers: { "example.org": homeserver.url },
    overrides: { log: makeLog({ level: "info", json: true, write: (line) => void lines.push(JSON.parse(line)) }) },
  });
  large = await upload(origin.url, USER, Buffer.alloc(LARGE, "large "));
});

/** The one line of the log by which a request of this kind is told, since `lines` was emptied. */
const told = (action: string) =>
  until(() => lines.find((line) => line.action === action && "ms" in line), `nothing was told of ${action}`);

async function counted(action: string, status: number): Promise<number> {
  const { body } = await origin.app.metrics.page();
  const line = new RegExp(`^media_http_responses_total\\{action="${action}",.*statusCode="${status}"\\} (\\d+)$`, "m");
  return Number(line.exec(body)?.[1] ?? 0);
}

/** Writes these pieces one after the other and hears all that comes until the connection ends. */
function talkRaw(pieces: readonly (string | Buffer)[], afterFirstByte: readonly string[] = []): Promise<Buffer> {
  const { hostname, port } = new URL(origin.url);
  return new Promise((resolve) => {
    const heard: Buffer[] = [];
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(Buffer.concat(heard)));
    socket.on("data", (chunk) => heard.push(chunk));
    socket.once("data", () => {
      for (const piece of afterFirstByte) socket.write(piece);
    });
    for (const piece of pieces) socket.write(piece);
  });
}

describe("a request whose client left", () => {
  for (const how of ["fin", "close", "rst"] satisfies Leaving[]) {
    test(`during a download (${how}) is told as 499, with how much was sent`, async () => {
      lines.length = 0;
      const before = { left: await counted("download", 499), answered: await counted("download", 200) };
      await leave(origin.url, {
        text: requestText("GET", `${DOWNLOAD}/${large}`, HEADERS),
        afterMs: 20,
        afterFirstByte: true,
        how,
      });
      const line = await told("download");
      assert.deepEqual([line.level, line.msg, line.status], ["info", "client left", 499]);
      const sent = Number(line.sentBytes);
      assert.ok(sent > 0 && sent < LARGE, String(sent));
      assert.equal(await counted("download", 499), before.left + 1);
      assert.equal(await counted("download", 200), before.answered);
      assert.ok(!lines.some(({ level }) => level === "error"));
    });

    test(`during an upload (${how}) is told as 499, with how much was received, and nothing is stored`, async () => {
      lines.length = 0;
      const before = await origin.app.db.query("SELECT 1 FROM media");
      const body = { sent: Buffer.alloc(300_000, "half "), length: 1_000_000 };
      await leave(origin.url, { text: requestText("POST", UPLOAD, HEADERS, body), afterMs: 100, how });
      const line = await told("upload");
      assert.deepEqual([line.level, line.msg, line.status], ["info", "client left", 499]);
      const received = Number(line.receivedBytes);
      // Of a connection that is broken off, what nobody had read yet is lost.
      assert.ok(how === "rst" ? received <= 300_000 : received === 300_000, String(received));
      assert.ok(!lines.some(({ level }) => level === "error"), JSON.stringify(lines));
      assert.equal((await origin.app.db.query("SELECT 1 FROM media")).rowCount, before.rowCount);
      await until(async () => (await listFiles(`${origin.folder}/media/.staging`)).length === 0, "the half is left");
    });
  }
});

test("an answer whose body fails midway is told as cut off, with the cause, and never as one that went well", async () => {
  lines.length = 0;
  const id = await upload(origin.url, USER, Buffer.alloc(10_000_000, "short "));
  await told("upload");
  lines.length = 0;
  const before = await counted("download", 200);
  const { rows } = await origin.app.db.query<{ location: string }>("SELECT location FROM blobs WHERE size = 10000000");
  const object = `${origin.folder}/media/${rows[0]?.location}`;
  const { hostname, port } = new URL(origin.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.write(requestText("GET", `${DOWNLOAD}/${id}`, HEADERS));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise<void>((resolve) => socket.once("data", () => resolve(void socket.pause())));
  await truncate(object, 1_000);
  socket.resume();
  await closed;
  const line = await told("download");
  assert.deepEqual([line.level, line.msg, line.status], ["info", "cut off", 500]);
  const sent = Number(line.sentBytes);
  assert.ok(sent > 0 && sent < 10_000_000, String(sent));
  const error = lines.find(({ level }) => level === "error");
  assert.match(String(error?.msg), /^cut off an answer: /);
  assert.equal(error?.sentBytes, sent);
  assert.match(JSON.stringify(error?.error), /the file is shorter than it was/);
  assert.equal(await counted("download", 200), before);
  assert.equal(await counted("download", 500), 1);
});

describe("a connection on which something unreadable comes", () => {
  const garbage = "\u0001\u0002 what is this\r\n\r\n";

  test("during an answer ends, and nothing is spliced into the body", async () => {
    const request = requestText("GET", `${DOWNLOAD}/${large}`, HEADERS);
    const heard = await talkRaw([request], [garbage]);
    const end = heard.indexOf("\r\n\r\n") + 4;
    const body = heard.subarray(end);
    assert.match(heard.subarray(0, end).toString(), /^HTTP\/1\.1 200 /);
    assert.ok(body.byteLength < LARGE, "it was not cut off");
    assert.ok(body.equals(Buffer.alloc(LARGE, "large ").subarray(0, body.byteLength)), "something else is in the body");
  });

  test("behind requests that wait for their answers ends, and none of them gets the error for its answer", async () => {
    homeserver.delayMs = 200;
    const request = requestText("GET", "/_matrix/client/v1/media/config", { authorization: "Bearer unknown" });
    const heard = await talkRaw([Buffer.concat([request, request, Buffer.from(garbage)])]);
    homeserver.delayMs = 0;
    assert.equal(heard.toString(), "");
  });

  test("behind one that is answered, or before any, is told so", async () => {
    assert.match((await talkRaw([garbage])).toString(), /^HTTP\/1\.1 400 .*M_UNKNOWN/s);
    const heard = (await talkRaw([requestText("GET", "/_matrix/media/version", {})], [garbage])).toString();
    assert.match(heard, /^HTTP\/1\.1 200 .*HTTP\/1\.1 400 .*M_UNKNOWN/s);
  });

  test("in a body in chunks: 400, told as 400, and what has come is not taken for all of it", async () => {
    lines.length = 0;
    const before = (await origin.app.db.query("SELECT 1 FROM media")).rowCount;
    const head = requestText("POST", UPLOAD, { ...HEADERS, "transfer-encoding": "chunked" });
    const chunk = `12c\r\n${"x".repeat(300)}\r\n`;
    const heard = (await talkRaw([head, chunk, `zz\r\n${"y".repeat(300)}\r\n`])).toString();
    assert.match(heard, /^HTTP\/1\.1 400 .*M_UNKNOWN/s);
    const line = await told("upload");
    assert.equal(line.status, 400);
    assert.equal((await origin.app.db.query("SELECT 1 FROM media")).rowCount, before);
  });
});

test("media is still served", async () => {
  assert.equal((await ask(origin.url, `${DOWNLOAD}/${large}`, { token: USER })).body.byteLength, LARGE);
});
