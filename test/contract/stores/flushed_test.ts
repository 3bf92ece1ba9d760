import assert from "node:assert/strict";
import { readlinkSync } from "node:fs";
import { type FileHandle, mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { makeFileDatastore } from "../../../origin/stores/objects/file.ts";
import type { Lifetime } from "../../support/lifetime.ts";

const SIGNAL = new AbortController().signal;

/** Notes what is brought to the disk, by its path at that moment, until the test is over. */
async function watchFlushes(lifetime: Lifetime): Promise<Set<string>> {
  const some = await open("/", "r");
  const handles = Object.getPrototypeOf(some) as FileHandle;
  await some.close();
  const { sync } = handles;
  const flushed = new Set<string>();
  handles.sync = async function (this: FileHandle) {
    await sync.call(this);
    flushed.add(readlinkSync(`/proc/self/fd/${this.fd}`));
  };
  lifetime.after(() => {
    handles.sync = sync;
  });
  return flushed;
}

describe("a folder as a datastore, when the power goes", { skip: process.platform !== "linux" }, () => {
  test("has the bytes and every name that leads to them, also those that another put has just made", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-flushed-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const store = makeFileDatastore({ id: "file", folder: join(folder, "made", "later") });
    await mkdir(store.stagingFolder, { recursive: true });
    const flushed = await watchFlushes(t);
    for (const [nth, sha256] of ["ab".repeat(32), `abab${"cd".repeat(30)}`].entries()) {
      const path = join(store.stagingFolder, `${nth}.part`);
      await writeFile(path, "bytes");
      const location = store.locationFor(sha256, 1);
      await store.put(location, { path, size: 5, sha256 }, SIGNAL);
      const wanted = [
        path,
        dirname(join(folder, "made", "later", location)),
        join(folder, "made", "later"),
        join(folder, "made"),
      ];
      for (const one of wanted) assert.ok(flushed.has(one), `${one} is not flushed`);
    }
  });

  test("without `fsync` nothing is waited for, and what is put is whole all the same", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-unflushed-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const store = makeFileDatastore({ id: "file", folder, fsync: false });
    await mkdir(store.stagingFolder, { recursive: true });
    const flushed = await watchFlushes(t);
    const path = join(store.stagingFolder, "staged.part");
    await writeFile(path, "bytes");
    const bodies = [{ path }, { bytes: Buffer.from("bytes") }];
    for (const [nth, body] of bodies.entries()) {
      const sha256 = String(nth).repeat(64);
      const location = store.locationFor(sha256, 1);
      for (const _again of [1, 2]) await store.put(location, { ...body, size: 5, sha256 }, SIGNAL);
      assert.equal(await readFile(join(folder, location), "utf8"), "bytes");
    }
    assert.equal(store.isFlushed, false);
    assert.deepEqual([...flushed], []);
  });
});
