import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, type TestContext, test } from "node:test";
import { databaseKinds, newDatabase } from "../../support/database.ts";
import { replaceFile } from "../../support/files.ts";
import { freePort } from "../../support/free_port.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import { until } from "../../support/until.ts";
import { commandLine, descendants, spawnCli, survivors } from "./spawn_cli.ts";

const TOKEN = "token";
const POOL = 5;
const skip = databaseKinds().find(({ name }) => name === "postgres")?.skip ?? false;
const CONFIG_PATH = "/_matrix/client/v1/media/config";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-workers-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Starts an origin of three workers on a database of its own. */
async function start(t: TestContext) {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  t.after(() => homeserver.close());
  const database = await newDatabase(POOL);
  t.after(() => database.drop());
  const metricsPort = await freePort();
  const yaml = (maxBytes: number) => `homeservers: [{name: example.org, csApi: "${homeserver.url}"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
database: {postgres: "${database.url}"}
rateLimit: {enabled: false}
accessTokens: {maxCacheTimeSeconds: 3600}
metrics: {enabled: true, bindAddress: 127.0.0.1, port: ${metricsPort}}
uploads: {maxBytes: ${maxBytes}}
`;
  await writeFile(join(folder, "c.yaml"), yaml(1_000_000));
  const command = spawnCli(t, folder, ["origin", "--config", "c.yaml", "--port", "0", "--workers", "3"]);
  const said = await command.says(/the origin answers at (\S+) \(3 workers\)/);
  return { command, yaml, url: /answers at (\S+)/.exec(said)?.[1] ?? "", metrics: `http://127.0.0.1:${metricsPort}` };
}

async function requestsSeen(metrics: string): Promise<number> {
  const { body } = await ask(metrics, "/metrics");
  const lines = body.toString().matchAll(/^media_http_requests_total\{[^}]*action="config"[^}]*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}

describe("an origin of several workers", { skip, timeout: 180_000 }, () => {
  test("shares one port, serves what any of them has stored, and adds up their metrics", async (t) => {
    const { url, metrics, command } = await start(t);
    assert.equal(workersOf(command.pid).length, 3);
    const ids = await Promise.all(Array.from({ length: 6 }, (_, n) => upload(url, TOKEN, `body ${n} `.repeat(30))));
    const path = (id: string) => `/_matrix/client/v1/media/download/${id}`;
    const heard = await Promise.all([...ids, ...ids].map((id) => ask(url, path(id), { token: TOKEN })));
    assert.deepEqual([...new Set(heard.map(({ status }) => status))], [200]);
    await Promise.all(Array.from({ length: 30 }, () => ask(url, CONFIG_PATH, { token: TOKEN })));
    assert.equal(await requestsSeen(metrics), 30);
  });

  test("starts a worker that is killed again, while the others answer", async (t) => {
    const { url, command } = await start(t);
    const statuses = new Set<number>();
    const [victim = 0, ...others] = workersOf(command.pid);
    const end = new AbortController();
    const asking = (async () => {
      while (!end.signal.aborted) {
        // A request that the victim had begun is lost with it, and only such a one.
        const heard = await ask(url, CONFIG_PATH, { token: TOKEN }).catch(() => undefined);
        if (heard) statuses.add(heard.status);
      }
    })();
    process.kill(victim, "SIGKILL");
    await command.says(/worker \d has ended \(signal SIGKILL\): starting it again\n/);
    await command.says(/worker \d answers again/);
    end.abort();
    await asking;
    assert.deepEqual([...statuses], [200]);
    const now = workersOf(command.pid);
    assert.equal(now.length, 3);
    assert.ok(others.every((pid) => now.includes(pid)));
  });

  test("follows a changed configuration in each worker", async (t) => {
    const { url, command, yaml } = await start(t);
    await replaceFile(join(folder, "c.yaml"), yaml(5_000));
    for (const number of [1, 2, 3]) {
      await command.says(new RegExp(`mxcdn: worker ${number}: changed configuration applied`));
    }
    const heard = await Promise.all(Array.from({ length: 12 }, () => ask(url, CONFIG_PATH, { token: TOKEN })));
    const sizes = new Set(heard.map(({ body }) => body.toString()));
    assert.deepEqual([...sizes], ['{"m.upload.size":5000}']);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} ends them all, with exit code 0`, async (t) => {
      const { command } = await start(t);
      const started = descendants(command.pid);
      command.kill(signal);
      assert.deepEqual(await command.ended, { code: 0, signal: null });
      assert.deepEqual(await survivors(started, 20_000), []);
    });
  }

  test("killed itself, it leaves nobody behind", async (t) => {
    const { command, url } = await start(t);
    const started = descendants(command.pid);
    command.kill("SIGKILL");
    await command.ended;
    assert.deepEqual(await survivors(started, 20_000), []);
    await until(
      () =>
        ask(url, CONFIG_PATH).then(
          () => false,
          () => true,
        ),
      "somebody still answers",
    );
  });
});

test("several workers are refused on the embedded database, with the cure", async (t) => {
  const yaml = `homeservers: [{name: example.org, csApi: "http://127.0.0.1:9"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
`;
  await writeFile(join(folder, "c.yaml"), yaml);
  for (const command of ["origin", "start"]) {
    for (const count of ["2", "0"]) {
      const args = [command, "--config", "c.yaml", "--port", "0", "--edge-port", "0", "--workers", count];
      const refused = spawnCli(t, folder, args);
      assert.equal((await refused.ended).code, 1);
      assert.match(refused.said(), /--workers needs PostgreSQL: .*set database\.postgres/);
    }
  }
});

/** The workers among what a process has started: those that run its own script. */
function workersOf(pid: number): number[] {
  return descendants(pid).filter((child) => commandLine(child).some((word) => word.endsWith("/origin/main.ts")));
}
