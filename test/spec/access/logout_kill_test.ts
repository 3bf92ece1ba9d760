import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { HOP_SECRET } from "../../support/app.ts";
import { startEdge } from "../../support/edge.ts";
import { freePort } from "../../support/free_port.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import { until } from "../../support/until.ts";

const MAIN = fileURLToPath(new URL("../../../origin/main.ts", import.meta.url));
const DEVICES = ["phone", "laptop"] as const;

test("kill -9 between the homeserver's answer and ours: every device of a logout is out, at both tiers", async (t) => {
  const user = { user_id: "@user:example.org" };
  const homeserver = await startHomeserver({
    phone: { ...user, device_id: "PHONE" },
    laptop: { ...user, device_id: "LAPTOP" },
  });
  t.after(() => homeserver.close());
  // The edge finds the second process where the first was.
  const port = await freePort();
  const edge = await startEdge({ hopSecret: HOP_SECRET, originUrl: `http://127.0.0.1:${port}` });
  t.after(() => edge.dispose());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-logout-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const children = new Set<ChildProcess>();
  t.after(() => {
    for (const child of children) child.kill("SIGKILL");
  });

  async function startProcess(): Promise<{ child: ChildProcess; url: string }> {
    const { endpoint, bucket, accessKeyId, secretAccessKey } = edge.s3;
    const config = join(folder, "media-repo.yaml");
    await writeFile(
      config,
      `
homeservers: [{ name: example.org, csApi: "${homeserver.url}" }]
repo: { port: ${port} }
accessTokens: { maxCacheTimeSeconds: 3600 }
rateLimit: { enabled: false }
database: { folder: "${folder}/db" }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
edge:
  enabled: true
  hopSecret: ${HOP_SECRET}
  bucket: { endpoint: "${endpoint}", bucketName: "${bucket}", accessKeyId: "${accessKeyId}", accessSecret: "${secretAccessKey}" }
`,
    );
    const child = spawn(process.execPath, [MAIN, "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
    children.add(child);
    let said = "";
    child.stdout?.on("data", (chunk) => {
      said += chunk;
    });
    const url = await until(() => /answers at (http:\S+)/.exec(said)?.[1], "the origin answers");
    return { child, url };
  }

  const first = await startProcess();
  const path = `/_matrix/client/v1/media/download/${await upload(first.url, "phone", "words ".repeat(50))}`;
  const get = async (base: string, token: string) => (await ask(base, path, { token })).status;
  for (const token of DEVICES) {
    await until(
      async () => /hit/.test((await ask(edge.url, path, { token })).headers["cache-status"] ?? ""),
      "the edge knows the device",
    );
  }

  const killed = once(first.child, "exit");
  homeserver.beforeAnswer = async (asked) => {
    if (!asked.endsWith("/logout/all")) return;
    first.child.kill("SIGKILL");
    await killed;
  };
  const out = ask(first.url, "/_matrix/client/v3/logout/all", { method: "POST", token: "phone", body: "{}" });
  await assert.rejects(out);
  await killed;
  homeserver.beforeAnswer = undefined;

  const second = await startProcess();
  for (const token of DEVICES) {
    await until(async () => (await get(edge.url, token)) === 401, "the edge has been told");
    assert.equal(await get(second.url, token), 401);
  }
});
