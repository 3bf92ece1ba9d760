import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Servable } from "./servable.ts";
import { makeSpooledRead } from "./spooled_read.ts";

const { signal } = new AbortController();
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-spool-"));
});
after(() => rm(folder, { recursive: true, force: true }));

let made = 0;

/** There is room for copies of 40 bytes. */
function makeOpen() {
  const makeId = () => {
    made += 1;
    return `copy${made}`;
  };
  const open = makeSpooledRead({ makeId, totalBytes: 40, timeoutMs: 60_000 });
  return (servable: Servable, reader = signal) => open(servable, folder, reader);
}

/** A body whose bytes come when the test says so, and which counts how often it is opened. */
function slowBody(sha256: string, size: number) {
  let source: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stopped = Promise.withResolvers<void>();
  const opened = { times: 0 };
  const servable: Servable = {
    media: { kind: "download", type: "text/plain", size, sha256, created: 0 },
    open: async (_slice, reading) => {
      opened.times += 1;
      return new ReadableStream<Uint8Array>({
        start(controller) {
          source = controller;
          reading.addEventListener("abort", () => {
            controller.error(reading.reason);
            stopped.resolve();
          });
        },
      });
    },
  };
  return {
    servable,
    opened,
    stopped: stopped.promise,
    send: (text: string) => source?.enqueue(Buffer.from(text)),
    end: () => source?.close(),
    fail: (error: Error) => source?.error(error),
  };
}

/** A body whose bytes are there. */
function body(text: string, size = text.length) {
  const opened = { times: 0 };
  const servable: Servable = {
    media: { kind: "download", type: "text/plain", size, sha256: text, created: 0 },
    open: async () => {
      opened.times += 1;
      return new Response(text).body ?? undefined;
    },
  };
  return { servable, opened };
}

const read = async (stream: ReadableStream<Uint8Array> | undefined) => await new Response(stream ?? null).text();

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let left = 6_000; !(await what()); left -= 1) {
    assert.ok(left > 0, "it did not come to be");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const isEmpty = async () => (await readdir(folder)).length === 0;

/** Whether two who read this body at once cost one reading. */
async function isShared(open: ReturnType<typeof makeOpen>, { servable, opened }: ReturnType<typeof body>) {
  const before = opened.times;
  const both = await Promise.all([1, 2].map(() => open(servable)));
  for (const stream of both) assert.equal(await read(stream), servable.media.sha256);
  return opened.times === before + 1;
}

test("a body flows to all who read it as it comes; who is slow or leaves holds up nobody", async () => {
  const open = makeOpen();
  const { servable, opened, send, end } = slowBody("flowing", 20);
  const [quick, slow, leaving] = await Promise.all([1, 2, 3].map(() => open(servable)));
  const reader = quick?.getReader();
  send("ten bytes, ");
  assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "ten bytes, ");
  await leaving?.cancel();
  const late = await open(servable);
  send("nine more");
  end();
  assert.equal(await read(late), "ten bytes, nine more");
  const last = await open(servable);
  assert.equal(await read(slow), "ten bytes, nine more");
  assert.equal(await read(last), "ten bytes, nine more", "also who comes while somebody still reads");
  assert.equal(opened.times, 1);
  await reader?.cancel();
  await until(isEmpty);
  await (await open(servable))?.cancel();
  assert.equal(opened.times, 2, "nothing is kept that nobody reads");
});

test("a body is read no further when the last of its readers has left, and anew for the next", async () => {
  const open = makeOpen();
  const { servable, opened, send, end, stopped } = slowBody("abandoned", 8);
  const leaving = new AbortController();
  await open(servable, leaving.signal);
  const other = await open(servable);
  send("some");
  leaving.abort(new Error("gone"));
  await other?.cancel();
  const next = await open(servable);
  await stopped;
  assert.equal(opened.times, 2);
  send("all of it".slice(0, 8));
  end();
  assert.equal(await read(next), "all of i");
  await until(isEmpty);
});

test("a body is opened for each where there is no room for a copy, until there is", async () => {
  const open = makeOpen();
  const [first, second] = [body("a".repeat(30)), body("b".repeat(11))];
  const held = await open(first.servable);
  assert.equal(await isShared(open, second), false);
  assert.equal(await read(held), "a".repeat(30));
  await until(() => isShared(open, second));
});

test("a body that is absent, breaks, or has another length is never taken for whole, and leaves its room", async () => {
  const open = makeOpen();
  const absent: Servable = { ...body("x".repeat(20)).servable, open: async () => undefined };
  assert.equal(await open(absent), undefined);
  const broken: Servable = { ...absent, open: () => Promise.reject(new Error("the store is broken")) };
  await assert.rejects(open(broken), /the store is broken/);
  const breaking = slowBody("breaking", 20);
  const streams = await Promise.all([1, 2].map(() => open(breaking.servable)));
  breaking.send("half");
  breaking.fail(new Error("cut short"));
  for (const stream of streams) await assert.rejects(read(stream), /cut short/);
  for (const size of [19, 21]) {
    const wrong = body("x".repeat(20), size);
    await assert.rejects(open(wrong.servable).then(read), /another length/);
  }
  await until(isEmpty);
  await until(() => isShared(open, body("y".repeat(40))));
});
