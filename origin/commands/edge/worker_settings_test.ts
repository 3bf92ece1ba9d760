import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CommandError } from "../trouble/describe_error.ts";
import { readWorkerSettings } from "./worker_settings.ts";

async function read(text: string) {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-toml-"));
  try {
    await writeFile(join(folder, "wrangler.toml"), text);
    const settings = await readWorkerSettings(join(folder, "wrangler.toml"));
    return { ...settings, main: settings.main.replace(folder, "") };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const PLAIN = 'name = "w"\nmain = "src/main.ts"\ncompatibility_date = "2026-07-30"\n';

test("the Worker, its variables and its buckets are read from wrangler.toml", async () => {
  const text = `${PLAIN}compatibility_flags = ["x"]
routes = ["a.example/*"]
[vars]
ORIGIN_URL = "http://127.0.0.1:8000"
ORIGIN_TIMEOUT_MS = 5000
[[r2_buckets]]
binding = "BUCKET"
bucket_name = "media"
local_dev = { experimental_s3_credentials = { accessKeyId = "a", secretAccessKey = "s" } }
[[r2_buckets]]
binding = "OTHER"
bucket_name = "other"
[observability]
enabled = true
`;
  assert.deepEqual(await read(text), {
    name: "w",
    main: "/src/main.ts",
    compatibilityDate: "2026-07-30",
    compatibilityFlags: ["x"],
    vars: { ORIGIN_URL: "http://127.0.0.1:8000", ORIGIN_TIMEOUT_MS: 5000 },
    buckets: [
      { binding: "BUCKET", name: "media", s3: { accessKeyId: "a", secretAccessKey: "s" } },
      { binding: "OTHER", name: "other", s3: undefined },
    ],
  });
});

test("what the local edge does not run is named, never left out in silence", async () => {
  const binding = '[[kv_namespaces]]\nbinding = "KV"\nid = "1"\n';
  await assert.rejects(
    read(PLAIN + binding),
    /wrangler\.toml cannot be used .*does not run `kv_namespaces` \(`npm run dev:edge`/,
  );
});

test("a file that cannot be read, or lacks something, is named with what is wrong", async () => {
  await assert.rejects(readWorkerSettings("/nowhere/wrangler.toml"), CommandError);
  await assert.rejects(read('name = "w'), /cannot read .*wrangler\.toml/);
  await assert.rejects(read('name = "w"\nmain = "m"\n'), /compatibility_date/);
});
