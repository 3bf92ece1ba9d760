import assert from "node:assert/strict";
import { test } from "node:test";
import type { Servable } from "./servable.ts";
import { makeSharedRead } from "./shared_read.ts";

const options = { maxBodyBytes: 10, keptBytes: 12, timeoutMs: 1_000 };
const { signal } = new AbortController();

/** A body that counts how often it is opened. */
function body(text: string, size = text.length) {
  const bytes = new TextEncoder().encode(text);
  const opened = { times: 0 };
  const servable: Servable = {
    media: { kind: "download", type: "text/plain", size, sha256: text, created: 0 },
    open: async () => {
      opened.times += 1;
      return new Response(bytes).body ?? undefined;
    },
  };
  return { servable, opened };
}

const read = async (stream: ReadableStream<Uint8Array> | undefined) => await new Response(stream ?? null).text();

test("a small body is read once for all who ask, also a little later", async () => {
  const open = makeSharedRead(options);
  const { servable, opened } = body("small");
  const all = await Promise.all(Array.from({ length: 50 }, async () => await read(await open(servable, signal))));
  assert.ok(all.every((text) => text === "small"));
  assert.equal(await read(await open(servable, signal)), "small");
  assert.equal(opened.times, 1);
});

test("what is kept is bounded", async () => {
  const open = makeSharedRead(options);
  const first = body("first!");
  const second = body("second");
  for (const { servable } of [first, second, first]) await read(await open(servable, signal));
  assert.equal(first.opened.times, 2);
  assert.equal(second.opened.times, 1);
});

test("a large body is opened for each", async () => {
  const open = makeSharedRead(options);
  const { servable, opened } = body("more than ten bytes");
  for (let round = 0; round < 3; round += 1)
    assert.equal(await read(await open(servable, signal)), "more than ten bytes");
  assert.equal(opened.times, 3);
});

test("a body that is empty, absent or of another length is told as such", async () => {
  const open = makeSharedRead(options);
  assert.equal(await read(await open(body("").servable, signal)), "");
  await assert.rejects(open(body("short", 6).servable, signal), /5 bytes are stored of 6/);
  const absent: Servable = { ...body("absent").servable, open: async () => undefined };
  assert.equal(await open(absent, signal), undefined);
});
