import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { GrowingFile } from "./growing_file.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-pull-"));
});
after(() => rm(folder, { recursive: true, force: true }));

let made = 0;
function create(announcedBytes?: number): Promise<GrowingFile> {
  made += 1;
  return GrowingFile.create({ folder, makeId: () => `file${made}`, announcedBytes });
}
const { signal } = new AbortController();

async function take(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | undefined> {
  const { value } = await reader.read();
  return value && Buffer.from(value).toString();
}

test("readers get what is written as it is written, from the first byte on, and end when it is whole", async () => {
  const file = await create();
  const early = file.follow(signal)?.getReader();
  assert.ok(early);
  await file.append(Buffer.from("one "));
  assert.equal(await take(early), "one ");
  const waiting = take(early);
  await file.append(Buffer.from("two"));
  assert.equal(await waiting, "two");
  const late = file.follow(signal)?.getReader();
  assert.ok(late);
  const { path, size, dispose } = file.finish();
  assert.equal(size, 7);
  await dispose();
  assert.ok(!existsSync(path));
  assert.equal(await take(early), undefined);
  assert.equal(await take(late), "one two", "who has it open reads on");
  assert.equal(await take(late), undefined);
  assert.equal(file.follow(signal), undefined, "too late");
  await file.closed;
});

test("of an announced length the last byte is kept back until the body is known to be whole", async () => {
  const file = await create(5);
  const reader = file.follow(signal)?.getReader();
  assert.ok(reader);
  await file.append(Buffer.from("12345"));
  assert.equal(await take(reader), "1234");
  const last = take(reader);
  const { dispose } = file.finish();
  assert.equal(await last, "5");
  assert.equal(await take(reader), undefined);
  await dispose();
});

test("an empty body ends at once", async () => {
  for (const announced of [undefined, 0]) {
    const file = await create(announced);
    const reader = file.follow(signal)?.getReader();
    const { size, dispose } = file.finish();
    assert.equal(size, 0);
    assert.equal(await (reader && take(reader)), undefined);
    await dispose();
  }
});

test("when it fails so do its readers, and nothing is left of it", async () => {
  const before = (await readdir(folder)).length;
  const file = await create();
  const readers = [1, 2].map(() => file.follow(signal)?.getReader());
  await file.append(Buffer.from("half"));
  for (const reader of readers) assert.equal(await (reader && take(reader)), "half");
  const failing = readers.map((reader) => assert.rejects(reader?.read() ?? Promise.resolve(), /cut short/));
  await file.fail(new Error("cut short"));
  await Promise.all(failing);
  assert.equal((await readdir(folder)).length, before);
});

test("a reader that cancels or is aborted leaves without disturbing the others", async () => {
  const file = await create();
  const leaving = new AbortController();
  const aborted = file.follow(leaving.signal)?.getReader();
  const cancelled = file.follow(signal)?.getReader();
  const staying = file.follow(signal)?.getReader();
  assert.ok(aborted && cancelled && staying);
  const pending = assert.rejects(aborted.read(), /gone/);
  leaving.abort(new Error("gone"));
  await pending;
  await cancelled.cancel();
  await file.append(Buffer.from("for who stays"));
  const { dispose } = file.finish();
  await dispose();
  assert.equal(await take(staying), "for who stays");
  assert.equal(await take(staying), undefined);
});

test("its writer hears when the last of its readers has left, and nobody joins it then; but not at its end", async () => {
  let alone = 0;
  const onAlone = () => {
    alone += 1;
  };
  const create = () => GrowingFile.create({ folder, makeId: randomUUID, announcedBytes: undefined, onAlone });
  const left = await create();
  const [one, two] = [left.follow(signal), left.follow(signal)];
  await one?.cancel();
  assert.equal(alone, 0);
  await two?.cancel();
  assert.equal(alone, 1);
  assert.equal(left.follow(signal), undefined);
  await left.fail(new Error("nobody wants it"));

  const whole = await create();
  const last = whole.follow(signal);
  await whole.append(Buffer.from("all"));
  const { dispose } = whole.finish();
  await dispose();
  assert.equal(await new Response(last).text(), "all");
  assert.equal(alone, 1);
});
