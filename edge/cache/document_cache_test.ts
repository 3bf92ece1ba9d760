import assert from "node:assert/strict";
import { test } from "node:test";
import { DocumentCache } from "./document_cache.ts";

/** A cache over a bucket whose reads end when the test says so, by a clock that the test sets. */
function stage() {
  let nowMs = 10_000;
  const reads: ((text: string | undefined) => void)[] = [];
  const cache = new DocumentCache<{ said: string }>({
    clock: () => nowMs,
    readText: () => new Promise((resolve) => void reads.push(resolve)),
    parse: (said) => ({ said }),
  });
  const read = async (fresh = false) => {
    const found = await cache.find("key", (work) => void work, { fresh });
    return typeof found === "string" ? found : found.said;
  };
  const at = (ms: number) => {
    nowMs = 10_000 + ms;
  };
  return { read, reads, at };
}

test("a document is read once within two seconds of the beginning of its read, and then again", async () => {
  const { read, reads, at } = stage();
  const first = read();
  at(1_500);
  reads[0]?.("old");
  assert.equal(await first, "old");
  at(1_999);
  assert.equal(await read(), "old");
  assert.equal(reads.length, 1);
  at(2_000);
  const next = read();
  reads[1]?.("new");
  assert.equal(await next, "new");
});

test("who asks for a fresh document gets it as it is now", async () => {
  const { read, reads, at } = stage();
  const first = read();
  reads[0]?.("old");
  await first;
  at(1);
  const second = read(true);
  reads[1]?.("new");
  assert.equal(await second, "new");
  assert.equal(await read(), "new");
});

test("who comes in the first second of a read joins it, who comes later begins another", async () => {
  const { read, reads, at } = stage();
  const first = read();
  at(999);
  const joined = read();
  at(1_000);
  const late = read();
  assert.equal(reads.length, 2);
  reads[0]?.("old");
  reads[1]?.("new");
  assert.deepEqual(await Promise.all([first, joined, late]), ["old", "old", "new"]);
});

test("what took two seconds is believed by nobody, neither by who began nor by who joined", async () => {
  const { read, reads, at } = stage();
  const first = read();
  at(900);
  const joined = read();
  at(2_000);
  reads[0]?.("live");
  assert.equal(await first, "late");
  assert.equal(await joined, "late");
  const next = read();
  assert.equal(reads.length, 2, "nor by who comes then");
  reads[1]?.("gone");
  assert.equal(await next, "gone");
});

test("absence is looked for again at once, and also believed for two seconds at most", async () => {
  const { read, reads, at } = stage();
  const first = read();
  reads[0]?.(undefined);
  assert.equal(await first, "absent");
  const second = read();
  assert.equal(reads.length, 2);
  at(2_000);
  reads[1]?.(undefined);
  assert.equal(await second, "late");
});
