import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ingested, ingest, MemoryShare } from "./ingest.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-ingest-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function* bytes(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

const NO_MEMORY = new MemoryShare(0);
const options = () => ({
  ...{ folder, makeId: randomUUID, maxBytes: 10, memory: NO_MEMORY },
  signal: new AbortController().signal,
});

/** The bytes of a body that was taken in, and where they are. */
async function kept(got: Ingested): Promise<{ readonly in: "memory" | "file"; readonly bytes: Buffer }> {
  if ("bytes" in got) return { in: "memory", bytes: Buffer.from(got.bytes) };
  return { in: "file", bytes: await readFile(got.path) };
}

test("ingest() writes a body to a file, and tells its size and SHA-256", async () => {
  const got = await ingest(bytes("he", "llo"), options());
  assert.equal(got.size, 5);
  assert.equal(got.sha256, createHash("sha256").update("hello").digest("hex"));
  assert.deepEqual(await kept(got), { in: "file", bytes: Buffer.from("hello") });
  await got.dispose();
  assert.deepEqual(await readdir(folder), []);
});

test("ingest() writes many chunks, tiny and large, in their order", async () => {
  const large = randomBytes(5_000_000);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0, length = 1; at < large.byteLength; at += length, length = (length * 7) % 200_003) {
      yield large.subarray(at, at + length);
      for (let nth = 0; nth < 300 && at === 0; nth += 1) yield new Uint8Array();
    }
  }
  const got = await ingest(pieces(), { ...options(), maxBytes: 0, isFlushed: true });
  assert.deepEqual(await kept(got), { in: "file", bytes: large });
  await got.dispose();
});

test("ingest() keeps a small body in memory, as long as there is some, and one that grows too large in a file", async () => {
  const large = randomBytes(700_000);
  const memory = new MemoryShare(256 * 1024);
  const unlimited = { ...options(), maxBytes: 0, memory };
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < large.byteLength; at += 100_001) yield large.subarray(at, at + 100_001);
  }
  const grown = await ingest(pieces(), unlimited);
  assert.deepEqual(await kept(grown), { in: "file", bytes: large });
  assert.equal(grown.sha256, createHash("sha256").update(large).digest("hex"));

  const small = await ingest(bytes("he", "llo"), unlimited);
  assert.deepEqual(await kept(small), { in: "memory", bytes: Buffer.from("hello") });
  const other = await ingest(bytes("world"), { ...unlimited, declaredBytes: 5 });
  assert.equal((await kept(other)).in, "file");
  await assert.rejects(ingest(bytes("hello"), { ...unlimited, declaredBytes: 6 }), { kind: "unreadable" });
  for (const one of [small, small, other, grown]) await one.dispose();

  await assert.rejects(ingest(bytes("hello"), { ...unlimited, declaredBytes: 4 }), { kind: "unreadable" });
  const again = await ingest(bytes("hello"), { ...unlimited, declaredBytes: 5 });
  assert.deepEqual(await kept(again), { in: "memory", bytes: Buffer.from("hello") });
  await again.dispose();
  assert.deepEqual(await readdir(folder), []);
});

test("ingest() leaves nothing of a body that is too large, or not of the announced length", async () => {
  await assert.rejects(ingest(bytes("hello", " world"), options()), { kind: "too_large" });
  await assert.rejects(ingest(bytes("hello"), { ...options(), declaredBytes: 6 }), { kind: "unreadable" });
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
