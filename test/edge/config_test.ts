import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startEdge } from "../support/edge.ts";
import { ask } from "./ask.ts";
import { HOP_SECRET } from "./origin_double.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

test("an edge that is not configured answers a Matrix error, and tells the client nothing of its settings", async () => {
  const wrong = [
    { originUrl: "", hopSecret: HOP_SECRET },
    { originUrl: "http://127.0.0.1:1/path", hopSecret: HOP_SECRET },
    { originUrl: "http://127.0.0.1:1", hopSecret: "" },
    { originUrl: "http://127.0.0.1:1", hopSecret: HOP_SECRET, withoutBinding: true },
    { originUrl: "http://127.0.0.1:1", hopSecret: HOP_SECRET, vars: { S3_ENDPOINT: "http://127.0.0.1:1" } },
  ];
  for (const options of wrong) {
    const edge = await startEdge(options);
    try {
      const answer = await ask(edge.url, "/_matrix/media/v3/config");
      assert.equal(answer.status, 503, JSON.stringify(options));
      assert.deepEqual(answer.json(), {
        errcode: "M_UNKNOWN",
        error: "The edge is not configured",
        mr_errcode: "M_UNKNOWN",
      });
    } finally {
      await edge.dispose();
    }
  }
});

test("wrangler.toml bundles the Worker offline, small, with nothing of Node in it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-edge-"));
  try {
    const wrangler = join(TOP, "node_modules", "wrangler", "bin", "wrangler.js");
    const env = {
      ...process.env,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      XDG_CONFIG_HOME: folder,
    };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [wrangler, "deploy", "--dry-run", "--minify", "--outdir", folder],
      { cwd: TOP, env, timeout: 60_000 },
    );
    assert.match(stdout, /env\.BUCKET/);
    assert.match(stdout, /env\.ORIGIN_URL/);
    const bundle = await readFile(join(folder, "main.js"), "utf8");
    assert.ok(bundle.length < 150_000, `${bundle.length} bytes: has the whole of zod slipped in?`);
    assert.doesNotMatch(bundle, /from\s*["']node:/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
