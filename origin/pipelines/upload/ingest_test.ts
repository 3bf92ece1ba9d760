import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ingest } from "./ingest.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-ingest-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function* bytes(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

const options = () => ({ folder, makeId: randomUUID, maxBytes: 10, signal: new AbortController().signal });

test("ingest() writes a body to a file, and tells its size and SHA-256", async () => {
  const got = await ingest(bytes("he", "llo"), options());
  assert.equal(got.size, 5);
  assert.equal(got.sha256, createHash("sha256").update("hello").digest("hex"));
  assert.equal(await readFile(got.path, "utf8"), "hello");
  await got.dispose();
  assert.deepEqual(await readdir(folder), []);
});

test("ingest() leaves nothing of a body that is too large, or not of the announced length", async () => {
  await assert.rejects(ingest(bytes("hello", " world"), options()), { status: 413 });
  await assert.rejects(ingest(bytes("hello"), { ...options(), declaredBytes: 6 }), { status: 400 });
  assert.deepEqual(await readdir(folder), []);
});

test("ingest() leaves nothing of an upload that was given up, however early", async () => {
  const given = Array.from({ length: 100 }, async (_, round) => {
    const gone = new AbortController();
    if (round % 2 === 0) gone.abort();
    else setImmediate(() => gone.abort());
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        yield Buffer.from("x");
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await assert.rejects(ingest(endless(), { ...options(), maxBytes: 0, signal: gone.signal }));
  });
  await Promise.all(given);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(await readdir(folder), []);
});
