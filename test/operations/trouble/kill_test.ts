import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startOrigin } from "../../support/app.ts";
import { listFiles } from "../../support/files.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";

const MAIN = fileURLToPath(new URL("../../../origin/main.ts", import.meta.url));
const TOKEN = "token";
let homeserver: FakeHomeserver;
let folder: string;
const running = new Set<ChildProcess>();

before(async () => {
  homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  folder = await mkdtemp(join(tmpdir(), "mxcdn-kill-"));
});

after(async () => {
  for (const child of running) child.kill("SIGKILL");
  await homeserver.close();
  await rm(folder, { recursive: true, force: true });
});

/** Starts the origin as a process of its own and resolves with its address. */
async function startProcess(): Promise<{ child: ChildProcess; url: string }> {
  const config = join(folder, "media-repo.yaml");
  await writeFile(
    config,
    `
homeservers: [{ name: example.org, csApi: "${homeserver.url}" }]
repo: { port: 0 }
database: { folder: "${folder}/db" }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
`,
  );
  const child = spawn(process.execPath, [MAIN, "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let said = "";
  for await (const chunk of child.stdout ?? []) {
    said += chunk;
    const url = /answers at (http:\S+)/.exec(said)?.[1];
    if (url) return { child, url };
  }
  throw new Error(`the origin did not start: ${said}`);
}

/** Begins an upload of 8 MB that stops half-way and stays there. */
async function beginUpload(url: string): Promise<void> {
  const sending = request(`${url}/_matrix/media/v3/upload`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, "content-length": "8000000" },
  });
  sending.on("error", () => {});
  sending.write(Buffer.alloc(4_000_000, 1));
  for (let waited = 0; waited < 100; waited += 1) {
    if ((await listFiles(join(folder, "media"))).length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("nothing was written of the upload");
}

test("kill -9 in the middle of an upload leaves no row and no object, issues no id, and the retry works", async () => {
  const first = await startProcess();
  const kept = await upload(first.url, TOKEN, Buffer.alloc(300_000, 3));
  await beginUpload(first.url);
  first.child.kill("SIGKILL");
  await once(first.child, "exit");

  const again = await startOrigin(
    { after: (close) => after(close) },
    { homeservers: { "example.org": homeserver.url }, folder, overrides: { orphanAgeMs: 0 } },
  );
  const { db, jobs } = again.app;
  const count = async (table: string) =>
    (await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]?.n;
  assert.equal(await count("media"), 1, "what was acknowledged is there, and nothing else");
  assert.equal(await count("blobs"), 1);
  assert.equal(await count("media_ids_used"), 1);
  await jobs.runNow("clean_staging");
  await jobs.runNow("reap");
  assert.equal(
    (await listFiles(join(folder, "media"))).length,
    1,
    "the half of a body is gone, the whole one is there",
  );
  const heard = await ask(again.url, `/_matrix/client/v1/media/download/${kept}`, { token: TOKEN });
  assert.ok(heard.body.equals(Buffer.alloc(300_000, 3)));
  assert.match(await upload(again.url, TOKEN, Buffer.alloc(8_000_000, 1)), /^example\.org\//);
});
