import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { spawnCli } from "../../operations/launch/spawn_cli.ts";
import { ACCOUNTS } from "../../support/app.ts";
import { newFolder } from "../../support/database.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

/** A process that may open no more descriptors: it says so, goes on, and recovers by itself. */

const USER = "token_of_user";
const skip = spawnSync("prlimit", ["--version"]).status === 0 ? false : "no prlimit";
/** Every descriptor that is opened from now on is one too many. */
const NONE = 3;
const MANY = 4_096;

test("no descriptors left: 503 on connections that stand, no end for those that come, and all is well when there are some again", {
  skip,
}, async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(
    join(folder, "c.yaml"),
    `homeservers: [{name: example.org, csApi: "${homeserver.url}"}]
repo: {bindAddress: 127.0.0.1, port: 0}
database: {folder: ./db}
datastores: [{id: files, type: file, forKinds: [all], opts: {path: ./media}}]
accessTokens: {maxCacheTimeSeconds: 3600}
rateLimit: {enabled: false}
`,
  );
  await rename((await newFolder()).folder, join(folder, "db"));
  const origin = spawnCli(t, folder, ["origin", "--config", "c.yaml"]);
  const said = await origin.says(/the origin answers at (\S+)/);
  const url = /the origin answers at (\S+)/.exec(said)?.[1] ?? "";
  const allow = (descriptors: number) =>
    execFileSync("prlimit", ["--pid", String(origin.pid), `--nofile=${descriptors}:${MANY}`]);

  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const photo = await upload(url, USER, await makePhoto(640, 480), { type: "image/jpeg" });
  const plain = await upload(url, USER, randomBytes(5_000));
  /** Over the one connection that stands. */
  const over = (method: string, path: string, body?: Buffer) =>
    new Promise<{ status: number; retryAfter: string | undefined; body: string }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${USER}`, ...(body ? { "content-length": body.byteLength } : {}) };
      const request = httpRequest(new URL(path, url), { method, agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            retryAfter: response.headers["retry-after"],
            body: Buffer.concat(chunks).toString("latin1"),
          }),
        );
      });
      request.on("error", reject).end(body);
    });
  assert.equal((await over("GET", "/_matrix/client/v1/media/config")).status, 200);

  allow(NONE);
  const thumbnail = `/_matrix/client/v1/media/thumbnail/${photo}?width=96&height=96&method=scale`;
  for (const [method, path, body] of [
    ["POST", "/_matrix/media/v3/upload", randomBytes(500)],
    ["GET", `/_matrix/client/v1/media/download/${plain}`],
    ["GET", thumbnail],
  ] as const) {
    const heard = await over(method, path, body);
    assert.equal(heard.status, 503, `${path}: ${heard.body.slice(0, 200)}`);
    assert.equal(JSON.parse(heard.body).errcode, "M_UNKNOWN");
    assert.ok(Number(heard.retryAfter) > 0, path);
  }
  // Nobody can be let in: more than once, since one descriptor may be held ready for that.
  const crowd: Socket[] = [];
  for (let n = 0; n < 50; n += 1) {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    crowd.push(socket);
  }
  await until(async () => crowd.every((socket) => !socket.connecting), "all have knocked");
  assert.equal((await over("GET", "/_matrix/client/v1/media/config")).status, 200);

  allow(MANY);
  for (const socket of crowd) socket.destroy();
  await until(
    () =>
      ask(url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body: randomBytes(500) }).then(
        ({ status }) => status === 200,
        () => false,
      ),
    "uploads work again",
    { withinMs: 20_000 },
  );
  assert.equal((await ask(url, `/_matrix/client/v1/media/download/${plain}`, { token: USER })).status, 200);
  assert.equal((await ask(url, thumbnail, { token: USER })).status, 200);
  assert.equal(jsonOf(await ask(url, "/healthz")).ok, true);
  origin.kill("SIGTERM");
  assert.deepEqual(await origin.ended, { code: 0, signal: null });
  assert.doesNotMatch(origin.said(), /Internal server error/);
});
