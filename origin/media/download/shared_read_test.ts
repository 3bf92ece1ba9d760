import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Servable } from "./servable.ts";
import { makeSharedRead } from "./shared_read.ts";

const { signal } = new AbortController();
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-shared-"));
});
after(() => rm(folder, { recursive: true, force: true }));

let made = 0;
const makeId = () => {
  made += 1;
  return `copy${made}`;
};

/** Bodies of up to 10 bytes go into memory, of up to 30 to the disk. */
function makeOpen() {
  return makeSharedRead({
    clock: () => 0,
    memoryBodyBytes: 10,
    keptBytes: 12,
    timeoutMs: 60_000,
    spoolBodyBytes: 30,
    spool: { makeId, totalBytes: 1_000, timeoutMs: 60_000 },
  });
}

/** A body that counts how often it is opened; `far`: its datastore is elsewhere. */
function body(text: string, { size = text.length, far = false } = {}) {
  const opened = { times: 0 };
  const servable: Servable = {
    media: { kind: "download", type: "text/plain", size, sha256: text, created: 0 },
    ...(far ? { copyFolder: folder } : {}),
    open: async () => {
      opened.times += 1;
      return new Response(text).body ?? undefined;
    },
  };
  return { servable, opened };
}

const read = async (stream: ReadableStream<Uint8Array> | undefined) => await new Response(stream ?? null).text();

describe("a small body", () => {
  test("is read once for all who ask, also a little later", async () => {
    const open = makeOpen();
    const { servable, opened } = body("small");
    const all = await Promise.all(Array.from({ length: 50 }, async () => await read(await open(servable, signal))));
    assert.ok(all.every((text) => text === "small"));
    assert.equal(await read(await open(servable, signal)), "small");
    assert.equal(opened.times, 1);
  });

  test("is kept while there is room", async () => {
    const open = makeOpen();
    const [first, second] = [body("first!"), body("second")];
    for (const { servable } of [first, second, first]) await read(await open(servable, signal));
    assert.equal(first.opened.times, 2);
    assert.equal(second.opened.times, 1);
  });

  test("is in memory once while it is being sent, and no more of them than there is room for", async () => {
    const open = makeOpen();
    const [slow, next] = [body("ten bytes!"), body("another")];
    const streams = [await open(slow.servable, signal), await open(slow.servable, signal)];
    for (let round = 0; round < 2; round += 1) assert.equal(await read(await open(next.servable, signal)), "another");
    assert.equal(next.opened.times, 2, "it was opened for each");
    await streams[0]?.cancel();
    assert.equal(await read(streams[1]), "ten bytes!");
    for (let round = 0; round < 2; round += 1) assert.equal(await read(await open(next.servable, signal)), "another");
    assert.equal(next.opened.times, 3, "and then once for both");
    const leaving = new AbortController();
    await open(slow.servable, leaving.signal);
    leaving.abort();
    for (let round = 0; round < 2; round += 1) await read(await open(body("quick").servable, signal));
    assert.equal(await read(await open(slow.servable, signal)), "ten bytes!");
  });

  test("that is empty, absent or of another length is told as such", async () => {
    const open = makeOpen();
    assert.equal(await read(await open(body("").servable, signal)), "");
    await assert.rejects(open(body("short", { size: 6 }).servable, signal), /5 bytes are stored of 6/);
    const absent: Servable = { ...body("absent").servable, open: async () => undefined };
    assert.equal(await open(absent, signal), undefined);
  });
});

describe("a larger body", () => {
  test("that lies here is opened for each", async () => {
    const open = makeOpen();
    const { servable, opened } = body("more than ten bytes");
    for (let round = 0; round < 3; round += 1)
      assert.equal(await read(await open(servable, signal)), "more than ten bytes");
    assert.equal(opened.times, 3);
  });

  test("that lies elsewhere is read once for all, up to the bound", async () => {
    const open = makeOpen();
    for (const [length, times] of [
      [11, 1],
      [30, 1],
      [31, 20],
    ] as const) {
      const text = "x".repeat(length);
      const { servable, opened } = body(text, { far: true });
      const streams = await Promise.all(Array.from({ length: 20 }, () => open(servable, signal)));
      for (const stream of streams) assert.equal(await read(stream), text);
      assert.equal(opened.times, times, String(length));
    }
  });
});
