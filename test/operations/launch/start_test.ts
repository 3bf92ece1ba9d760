import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import sharp from "sharp";
import { makePhoto } from "../../support/pictures.ts";
import { descendants, spawnCli, survivors } from "./spawn_cli.ts";
import { startFolder, startTiers } from "./tiers.ts";

const run = promisify(execFile);
const GONE_MS = 20_000;

let folder = "";
beforeEach(async () => {
  folder = await startFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const inFolder = (name: string) => join(folder, name);
const start = (t: TestContext, args: readonly string[] = []) => startTiers(t, folder, args);

/** The edge may remember for two seconds what it read before the origin had published. */
async function isHitSoon(download: () => Promise<Response>): Promise<boolean> {
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    const response = await download();
    await response.body?.cancel();
    if (/hit/.test(response.headers.get("cache-status") ?? "")) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

async function answers(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => true,
    () => false,
  );
}

describe("mxcdn start", { timeout: 180_000 }, () => {
  test("brings up both tiers, and the commands it prints work when pasted", async (t) => {
    const { command, facts } = await start(t);
    const photo = await makePhoto(800, 600);
    await writeFile(inFolder("photo.jpg"), photo);
    const [upload = "", thumbnail = "", ...more] = command.said().match(/^ +curl .*$/gm) ?? [];
    assert.deepEqual(more, []);

    const { stdout } = await run("sh", ["-c", upload], { cwd: folder });
    assert.match(stdout, /^\{"content_uri":"mxc:\/\/localhost\/[\w-]+"\}$/);
    await run("sh", ["-c", thumbnail], { cwd: folder });
    const { width, height, format } = await sharp(inFolder("thumbnail.jpg")).metadata();
    assert.deepEqual({ width, height, format }, { width: 320, height: 240, format: "jpeg" });

    const id = (JSON.parse(stdout) as { content_uri: string }).content_uri.slice("mxc://".length);
    const download = () =>
      fetch(`${facts.edge}/_matrix/client/v1/media/download/${id}`, {
        headers: { authorization: `Bearer ${facts.token}` },
      });
    assert.deepEqual(Buffer.from(await (await download()).arrayBuffer()), photo);
    assert.ok(await isHitSoon(download), "the edge does not serve it by itself");
  });

  test("writes the facts for scripts once both answer, readable by their owner only", async (t) => {
    const { facts } = await start(t);
    assert.equal(facts.server_name, "localhost");
    assert.ok((facts.token?.length ?? 0) >= 32);
    assert.equal((await stat(inFolder("data/dev.json"))).mode & 0o777, 0o600);
    for (const url of [facts.origin, facts.edge]) assert.equal((await fetch(`${url}/healthz`)).status, 200);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} ends everything it started, at once, with exit code 0 and no facts left`, async (t) => {
      const { command, facts } = await start(t);
      const started = descendants(command.pid);
      assert.ok(started.length >= 3, `${started.length} processes`);
      const before = performance.now();
      command.kill(signal);
      assert.deepEqual(await command.ended, { code: 0, signal: null });
      assert.ok(performance.now() - before < 20_000, "it took many seconds");
      assert.deepEqual(await survivors(started, GONE_MS), []);
      assert.ok(!existsSync(inFolder("data/dev.json")));
      assert.ok(!existsSync(inFolder("data/edge/vars.env")));
      for (const url of [facts.origin, facts.edge]) assert.equal(await answers(url), false);
    });
  }

  test("Ctrl-C while it starts ends it just as well", async (t) => {
    const command = spawnCli(t, folder, ["start", "--port", "0", "--edge-port", "0"]);
    await command.says(/starting/);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const started = descendants(command.pid);
    command.kill("SIGINT");
    assert.deepEqual(await command.ended, { code: 0, signal: null });
    assert.deepEqual(await survivors(started, GONE_MS), []);
  });

  test("killed itself, it leaves nobody behind", async (t) => {
    const { command } = await start(t);
    const started = descendants(command.pid);
    command.kill("SIGKILL");
    await command.ended;
    assert.deepEqual(await survivors(started, GONE_MS), []);
  });

  test("keeps its secrets and its media from start to start", async (t) => {
    const first = await start(t);
    const headers = { authorization: `Bearer ${first.facts.token}`, "content-type": "text/plain" };
    const body = "to be kept".repeat(20);
    const uploaded = await fetch(`${first.facts.edge}/_matrix/media/v3/upload`, { method: "POST", headers, body });
    const { content_uri } = (await uploaded.json()) as { content_uri: string };
    first.command.kill("SIGINT");
    await first.command.ended;

    const { facts } = await start(t);
    assert.equal(facts.token, first.facts.token);
    const url = `${facts.edge}/_matrix/client/v1/media/download/${content_uri.slice("mxc://".length)}`;
    assert.equal(await (await fetch(url, { headers })).text(), body);
  });

  test("a second start on the same folder gives way, and leaves the first as it is", async (t) => {
    const { facts } = await start(t);
    const second = spawnCli(t, folder, ["start", "--port", "0", "--edge-port", "0"]);
    assert.deepEqual(await second.ended, { code: 1, signal: null });
    assert.match(second.said(), /cannot use the folder \S*data\/edge: process \d+ is using it; stop that one first/);
    assert.deepEqual(JSON.parse(await readFile(inFolder("data/dev.json"), "utf8")), facts);
    assert.equal((await fetch(`${facts.edge}/healthz`)).status, 200);
  });

  test("keeps the embedded database in the folder it was given, with a configuration too", async (t) => {
    await writeFile(
      inFolder("c.yaml"),
      `homeservers: [{name: example.org, csApi: "http://127.0.0.1:9"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
`,
    );
    await rename(inFolder("data"), inFolder("elsewhere"));
    const command = spawnCli(t, folder, [
      ...["start", "--config", "c.yaml", "--data", "elsewhere", "--port", "0", "--edge-port", "0"],
    ]);
    await command.says(/Ctrl-C ends both/);
    assert.match(command.said(), /the embedded one in elsewhere\/db/);
    assert.equal(existsSync(inFolder("data")), false);
  });

  test("runs a configuration of its own, and says what it serves", async (t) => {
    const config = `
homeservers: [{name: example.org, csApi: "http://127.0.0.1:9"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
database: {folder: ./data/db}
edge: {hopSecret: "it's a secret with $HOME, \\"quotes\\" and more"}
`;
    await writeFile(inFolder("c.yaml"), config);
    const { command, facts } = await start(t, ["--config", "c.yaml"]);
    assert.equal(facts.server_name, "example.org");
    assert.equal(facts.token, null);
    assert.match(command.said(), /configuration: c\.yaml/);
    assert.match(command.said(), /TOKEN: the access token of a user of example\.org/);
    // The hop is believed: the answer to an unknown token comes from a verdict, not from a hop that is refused.
    const url = `${facts.edge}/_matrix/client/v1/media/download/example.org/nothing`;
    const response = await fetch(url, { headers: { authorization: "Bearer nobody" } });
    assert.equal(response.status, 503);
  });
});
