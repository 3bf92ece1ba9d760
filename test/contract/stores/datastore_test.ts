import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";
import type { Datastore } from "../../../origin/stores/objects/datastore.ts";
import { makeFileDatastore } from "../../../origin/stores/objects/file.ts";
import { makeS3Datastore } from "../../../origin/stores/objects/s3.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import { openTestBucket } from "../../support/bucket.ts";
import { type Lifetime, lifetimeOfSuite } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";
import { put, read, SIGNAL, stage, testFolder } from "./bodies.ts";

async function openS3(
  t: Lifetime,
  more: { prefixLength?: number; multipartUploads?: boolean } = {},
): Promise<Datastore> {
  const { endpoint, bucket, accessKeyId, accessSecret } = await openTestBucket(t);
  const tempPath = await testFolder(t);
  const store = makeS3Datastore({
    id: "s3",
    endpoint,
    bucketName: bucket,
    accessKeyId,
    accessSecret,
    tempPath,
    ...more,
  });
  t.after(() => store.close());
  return store;
}

const KINDS: Record<string, (t: Lifetime) => Promise<Datastore>> = {
  file: async (t) => makeFileDatastore({ id: "file", folder: join(await testFolder(t), "made", "later") }),
  s3: (t) => openS3(t),
  "s3 with prefixes, in one piece": (t) => openS3(t, { prefixLength: 4, multipartUploads: false }),
};

for (const [name, make] of Object.entries(KINDS)) {
  describe(`${name} as a datastore`, () => {
    const suite = lifetimeOfSuite();
    let store: Datastore;
    before(async () => {
      store = await make(suite);
    });

    test("gives back what was put, whole, after the staged file is gone", async () => {
      const bytes = randomBytes(700_001);
      const object = await put(store, bytes);
      assert.ok(bytes.equals((await read(await store.open(object, undefined, SIGNAL))) ?? Buffer.alloc(0)));
    });

    test("gives back slices: the first byte, the last, some in between, across its own chunks", async () => {
      const bytes = randomBytes(300_000);
      const object = await put(store, bytes);
      for (const [offset, length] of [
        [0, 1],
        [299_999, 1],
        [1_000, 5],
        [131_000, 150_000],
        [0, 300_000],
      ] as const) {
        const slice = await read(await store.open(object, { offset, length }, SIGNAL));
        assert.ok(slice?.equals(bytes.subarray(offset, offset + length)), `${offset}+${length}`);
      }
    });

    test("where objects are files, they are read at any position too, and no file stays open", async () => {
      if (!store.openFile) return assert.equal(store.kind, "s3");
      for (const size of [0, 1, 100_000, 262_143, 262_144, 700_001]) {
        const bytes = randomBytes(size);
        const object = await put(store, bytes);
        const body = await store.openFile(object, SIGNAL);
        assert.ok(body, String(size));
        for (const [from, to] of [
          [0, size],
          [Math.max(0, size - 1), size],
          [Math.floor(size / 3), Math.ceil(size / 2)],
        ] as const) {
          const pieces: Buffer[] = [];
          for (let at = from; at < to; at += pieces.at(-1)?.length ?? 0)
            pieces.push(Buffer.from(await body.read(at, to - at)));
          assert.ok(Buffer.concat(pieces).equals(bytes.subarray(from, to)), `${from} to ${to} of ${size}`);
        }
        body.close();
        body.close();
        for (const wrong of [size + 1, size + 300_000, Math.max(0, size - 1)]) {
          if (wrong !== size) assert.equal(await store.openFile({ ...object, size: wrong }, SIGNAL), undefined);
        }
        await store.remove(object.location);
        assert.equal(await store.openFile(object, SIGNAL), undefined);
      }
      const folder = dirname(store.stagingFolder);
      await until(async () => {
        const open = await readdir("/proc/self/fd").catch(() => []);
        const paths = await Promise.all(open.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
        return !paths.some((path) => path.startsWith(folder));
      }, "files stay open");
    });

    test("a file that is closed while it is read is closed once", async () => {
      if (!store.openFile) return assert.equal(store.kind, "s3");
      const object = await put(store, randomBytes(700_001));
      const body = await store.openFile(object, SIGNAL);
      const reading = body?.read(0, 700_001);
      body?.close();
      assert.equal((await reading)?.length, body?.pieceBytes);
      await assert.rejects(async () => await body?.read(0, 1), /was closed/);
    });

    test("keeps an empty body", async () => {
      const object = await put(store, new Uint8Array());
      assert.equal((await read(await store.open(object, undefined, SIGNAL)))?.length, 0);
    });

    test("large bodies come back as they were", async () => {
      const bytes = randomBytes(40 * 1024 * 1024 + 3);
      const object = await put(store, bytes);
      assert.ok(bytes.equals((await read(await store.open(object, undefined, SIGNAL))) ?? Buffer.alloc(0)));
      await store.remove(object.location);
    });

    test("answers undefined for an object that is not there", async () => {
      const object = { location: store.locationFor("0".repeat(64), 1), size: 1 };
      assert.equal(await store.has(object, SIGNAL), false);
      assert.equal(await store.open(object, undefined, SIGNAL), undefined);
      assert.equal(await store.open(object, { offset: 0, length: 1 }, SIGNAL), undefined);
    });

    test("an object that has another size than it must is as good as none", async () => {
      const object = await put(store, randomBytes(1_000));
      assert.equal(await store.has(object, SIGNAL), true);
      for (const size of [0, 999, 1_001]) {
        assert.equal(await store.has({ ...object, size }, SIGNAL), false, String(size));
        assert.equal(await store.open({ ...object, size }, undefined, SIGNAL), undefined, String(size));
        const slice = { offset: Math.max(0, size - 1), length: 1 };
        assert.equal(await store.open({ ...object, size }, slice, SIGNAL), undefined, String(size));
      }
    });

    test("putting the same twice is no error", async () => {
      const file = await stage(store, Buffer.from("twice"));
      const location = store.locationFor(file.sha256, 1_000_000);
      await store.put(location, file, SIGNAL);
      await store.put(location, file, SIGNAL);
      assert.equal(String(await read(await store.open({ location, size: 5 }, undefined, SIGNAL))), "twice");
    });

    test("a body in memory is put as one from a file is, twice too", async () => {
      const bytes = randomBytes(10_000);
      const body = { bytes, size: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex") };
      const location = store.locationFor(body.sha256, 4_000_000);
      await store.put(location, body, SIGNAL);
      await store.put(location, body, SIGNAL);
      assert.ok(
        bytes.equals(
          (await read(await store.open({ location, size: body.size }, undefined, SIGNAL))) ?? Buffer.alloc(0),
        ),
      );
      await store.remove(location);
    });

    test("puts of the same place at once leave it whole", async () => {
      const bytes = randomBytes(400_000);
      const files = await Promise.all([1, 2, 3].map(() => stage(store, bytes)));
      const location = store.locationFor(files[0]?.sha256 ?? "", 2_000_000);
      await Promise.all(files.map((file) => store.put(location, file, SIGNAL)));
      const stream = await store.open({ location, size: bytes.length }, undefined, SIGNAL);
      assert.ok(bytes.equals((await read(stream)) ?? Buffer.alloc(0)));
    });

    test("two incarnations of a body are two objects", async () => {
      const [first, second] = [await put(store, Buffer.from("again")), await put(store, Buffer.from("again"))];
      assert.notEqual(first.location, second.location);
      await store.remove(first.location);
      assert.equal(await store.open(first, undefined, SIGNAL), undefined);
      assert.equal(String(await read(await store.open(second, undefined, SIGNAL))), "again");
    });

    test("removing what is not there is success", async () => {
      const object = await put(store, Buffer.from("short-lived"));
      await store.remove(object.location);
      await store.remove(object.location);
      assert.equal(await store.open(object, undefined, SIGNAL), undefined);
    });

    test("an abort ends a reading, and an aborted call does nothing", async () => {
      const object = await put(store, randomBytes(8 * 1024 * 1024));
      const abort = new AbortController();
      const stream = await store.open(object, undefined, abort.signal);
      const reader = stream?.getReader();
      await reader?.read();
      abort.abort(new Error("the client left"));
      await assert.rejects(async () => {
        while (!(await reader?.read())?.done);
      }, /the client left|abort/);
      await assert.rejects(store.open(object, undefined, abort.signal));
      const file = await stage(store, Buffer.from("late"));
      const late = store.locationFor(file.sha256, 3_000_000);
      await assert.rejects(store.put(late, file, abort.signal));
      assert.equal(await store.has({ location: late, size: 4 }, SIGNAL), false);
    });

    test("cancelled and aborted readings hold nothing: a thousand of them, then it still works", async () => {
      const object = await put(store, randomBytes(600_000));
      const opened = await descriptors();
      for (let round = 0; round < 20; round += 1) {
        await Promise.all(
          Array.from({ length: 50 }, async (_, n) => {
            const abort = new AbortController();
            const stream = await store.open(object, undefined, abort.signal);
            const reader = stream?.getReader();
            if (n % 3 > 0) await reader?.read();
            if (n % 2) abort.abort();
            await reader?.cancel().catch(() => undefined);
          }),
        );
      }
      await settle(async () => (await descriptors()) <= opened + 60);
      assert.equal((await read(await store.open(object, { offset: 5, length: 10 }, SIGNAL)))?.length, 10);
    });
  });
}

async function descriptors(): Promise<number> {
  return (await readdir("/proc/self/fd").catch(() => [])).length;
}

async function settle(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100 && !(await condition()); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(await condition());
}

describe("a folder as a datastore", () => {
  const SHA256 = "ab".repeat(32);

  test("reads matrix-media-repo's objects where they lie", async (t) => {
    const folder = await testFolder(t);
    const store = makeFileDatastore({ id: "mmr", folder });
    const location = "ab/cd/ef0123456789abcdef0123456789abcdef012345671859371926419312640idv2fmt";
    await mkdir(join(folder, "ab/cd"), { recursive: true });
    await writeFile(join(folder, location), "old bytes");
    assert.equal(String(await read(await store.open({ location, size: 9 }, undefined, SIGNAL))), "old bytes");
  });

  test("no location leads out of the folder, or to anything but an object", async (t) => {
    const folder = await testFolder(t);
    await writeFile(join(folder, "secret"), "secret");
    const store = makeFileDatastore({ id: "file", folder: join(folder, "store") });
    const file = await stage(store, Buffer.from("x"));
    const locations = [
      "../secret",
      "ab/cd/../../../secret",
      "/etc/passwd",
      "ab/../secret",
      "..",
      "",
      "ab/cd",
      "ab/cd/e/f",
    ];
    for (const location of [
      ...locations,
      "ab/cd/e\0f",
      "ab\\cd\\ef",
      "ab/cd/.",
      "ab/cd/..",
      `ab/cd/${"e".repeat(300)}`,
    ]) {
      await assert.rejects(store.has({ location, size: 6 }, SIGNAL), /not a location/, location);
      await assert.rejects(store.open({ location, size: 6 }, undefined, SIGNAL), /not a location/, location);
      await assert.rejects(store.put(location, file, SIGNAL), /not a location/, location);
      await assert.rejects(store.remove(location), /not a location/, location);
    }
  });

  test("reads what lies in folders of matrix-media-repo's layout", async (t) => {
    const folder = await testFolder(t);
    const store = makeFileDatastore({ id: "file", folder });
    await mkdir(join(folder, "ab", "cd"), { recursive: true });
    await writeFile(join(folder, "ab", "cd", "efgh"), "theirs");
    const ours = await put(store, Buffer.from("ours"));
    const theirs = { location: "ab/cd/efgh", size: 6 };
    assert.equal(String(await read(await store.open(theirs, undefined, SIGNAL))), "theirs");
    assert.equal(String(await read(await store.open(ours, undefined, SIGNAL))), "ours");
  });

  test("puts an object although somebody has removed its folder since the last", async (t) => {
    const folder = await testFolder(t);
    const store = makeFileDatastore({ id: "file", folder });
    for (const from of ["memory", "file"]) {
      const bytes = Buffer.from(`from ${from}`);
      const sha256 = createHash("sha256").update(from).digest("hex");
      const body = from === "file" ? await stage(store, bytes) : { bytes, size: bytes.byteLength, sha256 };
      const [first, second] = [store.locationFor(sha256, 1), store.locationFor(sha256, 2)];
      await store.put(first, body, SIGNAL);
      await rm(join(folder, first.slice(0, 2)), { recursive: true });
      await store.put(second, body, SIGNAL);
      assert.equal(
        String(await read(await store.open({ location: second, size: body.size }, undefined, SIGNAL))),
        `from ${from}`,
      );
    }
  });

  test("a staged file of another filesystem is copied, and appears whole", async (t) => {
    const folder = await testFolder(t);
    const store = makeFileDatastore({ id: "file", folder });
    const shm = await mkdtemp("/dev/shm/mxcdn-").catch(() => undefined);
    if (shm === undefined) return t.skip("no second filesystem");
    t.after(() => rm(shm, { recursive: true, force: true }));
    await writeFile(join(shm, "staged"), "from afar");
    const location = store.locationFor(SHA256, 1);
    await store.put(location, { path: join(shm, "staged"), size: 9, sha256: SHA256 }, SIGNAL);
    assert.equal(String(await read(await store.open({ location, size: 9 }, undefined, SIGNAL))), "from afar");
    assert.equal(await readFile(join(shm, "staged"), "utf8"), "from afar");
  });

  test("a file that is cut short while it is read is an error, not a short answer", async (t) => {
    const folder = await testFolder(t);
    const store = makeFileDatastore({ id: "file", folder });
    const object = await put(store, randomBytes(400_000));
    for (const slice of [undefined, { offset: 1, length: 399_998 }]) {
      const reader = (await store.open(object, slice, SIGNAL))?.getReader();
      await reader?.read();
      await truncate(join(folder, object.location), 200_000);
      await assert.rejects(async () => {
        while (!(await reader?.read())?.done);
      }, /shorter/);
      await truncate(join(folder, object.location), 400_000);
    }
  });

  test("a folder that cannot be read or written is 503 with a time to retry, and says nothing of paths", async (t) => {
    const folder = await testFolder(t);
    await writeFile(join(folder, "file"), "no folder");
    const store = makeFileDatastore({ id: "file", folder: join(folder, "file") });
    const staged = join(folder, "staged");
    await writeFile(staged, "x");
    const put = store.put(store.locationFor(SHA256, 1), { path: staged, size: 1, sha256: SHA256 }, SIGNAL);
    await assert.rejects(put, (thrown: unknown) => {
      const error = toMatrixError(thrown);
      assert.deepEqual([error.errcode, error.status, error.retryAfterMs], ["M_UNKNOWN", 503, 5_000]);
      assert.ok(!error.message.includes(folder));
      return true;
    });
  });

  test("a reader who does not read costs no memory", async (t) => {
    const store = makeFileDatastore({ id: "file", folder: await testFolder(t) });
    const object = await put(store, randomBytes(16 * 1024 * 1024));
    const before = process.memoryUsage();
    const streams = await Promise.all(Array.from({ length: 100 }, () => store.open(object, undefined, SIGNAL)));
    const after = process.memoryUsage();
    assert.ok(after.external - before.external < 8 * 1024 * 1024);
    for (const stream of streams) await stream?.cancel();
  });
});
