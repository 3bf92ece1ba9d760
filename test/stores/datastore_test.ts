import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { Datastore, ListedObject, StagedFile } from "../../origin/stores/datastores/datastore.ts";
import { makeFileDatastore } from "../../origin/stores/datastores/file.ts";
import { makeS3Datastore } from "../../origin/stores/datastores/s3.ts";
import { openTestBucket } from "../support/bucket.ts";
import { type Lifetime, lifetimeOfSuite } from "../support/lifetime.ts";
import { refuse, startFailingStore } from "./failing_store.ts";

const SIGNAL = new AbortController().signal;

async function testFolder(t: Lifetime): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-datastore-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

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

async function stage(store: Datastore, bytes: Uint8Array): Promise<StagedFile> {
  await mkdir(store.stagingFolder, { recursive: true });
  const path = join(store.stagingFolder, `${randomBytes(8).toString("hex")}.part`);
  await writeFile(path, bytes);
  return { path, size: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex") };
}

let generation = 0;

async function put(store: Datastore, bytes: Uint8Array): Promise<string> {
  const file = await stage(store, bytes);
  generation += 1;
  const location = store.locationFor(file.sha256, generation);
  await store.put(location, file, SIGNAL);
  await rm(file.path, { force: true });
  return location;
}

async function read(stream: ReadableStream<Uint8Array> | undefined): Promise<Buffer | undefined> {
  return stream && Buffer.from(await new Response(stream).arrayBuffer());
}

async function all(store: Datastore): Promise<ListedObject[]> {
  const found: ListedObject[] = [];
  for await (const object of store.list()) found.push(object);
  return found;
}

for (const [name, make] of Object.entries(KINDS)) {
  describe(`${name} as a datastore`, () => {
    const suite = lifetimeOfSuite();
    let store: Datastore;
    before(async () => {
      store = await make(suite);
    });

    test("lists nothing before anything was put", async () => {
      assert.deepEqual(await all(store), []);
    });

    test("gives back what was put, whole, after the staged file is gone", async () => {
      const bytes = randomBytes(700_001);
      const location = await put(store, bytes);
      assert.ok(bytes.equals((await read(await store.open(location, undefined, SIGNAL))) ?? Buffer.alloc(0)));
    });

    test("gives back slices: the first byte, the last, some in between, across its own chunks", async () => {
      const bytes = randomBytes(300_000);
      const location = await put(store, bytes);
      for (const [offset, length] of [
        [0, 1],
        [299_999, 1],
        [1_000, 5],
        [131_000, 150_000],
        [0, 300_000],
      ] as const) {
        const slice = await read(await store.open(location, { offset, length }, SIGNAL));
        assert.ok(slice?.equals(bytes.subarray(offset, offset + length)), `${offset}+${length}`);
      }
    });

    test("keeps an empty body", async () => {
      const location = await put(store, new Uint8Array());
      assert.equal((await read(await store.open(location, undefined, SIGNAL)))?.length, 0);
    });

    test("large bodies come back as they were", async () => {
      const bytes = randomBytes(40 * 1024 * 1024 + 3);
      const location = await put(store, bytes);
      assert.ok(bytes.equals((await read(await store.open(location, undefined, SIGNAL))) ?? Buffer.alloc(0)));
      await store.remove(location);
    });

    test("answers undefined for an object that is not there", async () => {
      assert.equal(await store.open(store.locationFor("0".repeat(64), 1), undefined, SIGNAL), undefined);
      assert.equal(await store.open(store.locationFor("0".repeat(64), 1), { offset: 0, length: 1 }, SIGNAL), undefined);
    });

    test("putting the same twice is no error", async () => {
      const file = await stage(store, Buffer.from("twice"));
      const location = store.locationFor(file.sha256, 1_000_000);
      await store.put(location, file, SIGNAL);
      await store.put(location, file, SIGNAL);
      assert.equal(String(await read(await store.open(location, undefined, SIGNAL))), "twice");
    });

    test("puts of the same place at once leave it whole", async () => {
      const bytes = randomBytes(400_000);
      const files = await Promise.all([1, 2, 3].map(() => stage(store, bytes)));
      const location = store.locationFor(files[0]?.sha256 ?? "", 2_000_000);
      await Promise.all(files.map((file) => store.put(location, file, SIGNAL)));
      assert.ok(bytes.equals((await read(await store.open(location, undefined, SIGNAL))) ?? Buffer.alloc(0)));
    });

    test("two incarnations of a body are two objects", async () => {
      const [first, second] = [await put(store, Buffer.from("again")), await put(store, Buffer.from("again"))];
      assert.notEqual(first, second);
      await store.remove(first);
      assert.equal(await store.open(first, undefined, SIGNAL), undefined);
      assert.equal(String(await read(await store.open(second, undefined, SIGNAL))), "again");
    });

    test("removing what is not there is success", async () => {
      const location = await put(store, Buffer.from("short-lived"));
      await store.remove(location);
      await store.remove(location);
      assert.equal(await store.open(location, undefined, SIGNAL), undefined);
    });

    test("lists every object with its size and time, and nothing that is staged", async () => {
      const fresh = await put(store, Buffer.from("123456789"));
      await stage(store, Buffer.from("staged"));
      const found = (await all(store)).find((object) => object.location === fresh);
      assert.equal(found?.size, 9);
      assert.ok(Math.abs((found?.modifiedMs ?? 0) - Date.now()) < 60_000);
      const locations = (await all(store)).map((object) => object.location);
      for (const location of locations) await store.remove(location);
      assert.deepEqual(await all(store), []);
      assert.ok(locations.length >= 6);
    });

    test("an abort ends a reading, and an aborted call does nothing", async () => {
      const location = await put(store, randomBytes(8 * 1024 * 1024));
      const abort = new AbortController();
      const stream = await store.open(location, undefined, abort.signal);
      const reader = stream?.getReader();
      await reader?.read();
      abort.abort(new Error("the client left"));
      await assert.rejects(async () => {
        while (!(await reader?.read())?.done);
      }, /the client left|abort/);
      await assert.rejects(store.open(location, undefined, abort.signal));
      const file = await stage(store, Buffer.from("late"));
      const late = store.locationFor(file.sha256, 3_000_000);
      await assert.rejects(store.put(late, file, abort.signal));
      assert.equal(await store.open(late, undefined, SIGNAL), undefined);
    });

    test("cancelled and aborted readings hold nothing: a thousand of them, then it still works", async () => {
      const location = await put(store, randomBytes(600_000));
      const opened = await descriptors();
      for (let round = 0; round < 20; round += 1) {
        await Promise.all(
          Array.from({ length: 50 }, async (_, n) => {
            const abort = new AbortController();
            const stream = await store.open(location, undefined, abort.signal);
            const reader = stream?.getReader();
            if (n % 3 > 0) await reader?.read();
            if (n % 2) abort.abort();
            await reader?.cancel().catch(() => undefined);
          }),
        );
      }
      await settle(async () => (await descriptors()) <= opened + 60);
      assert.equal((await read(await store.open(location, { offset: 5, length: 10 }, SIGNAL)))?.length, 10);
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
    assert.equal(String(await read(await store.open(location, undefined, SIGNAL))), "old bytes");
    assert.deepEqual(
      (await all(store)).map((object) => object.location),
      [location],
    );
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
      await assert.rejects(store.open(location, undefined, SIGNAL), /not a location/, location);
      await assert.rejects(store.put(location, file, SIGNAL), /not a location/, location);
      await assert.rejects(store.remove(location), /not a location/, location);
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
    assert.equal(String(await read(await store.open(location, undefined, SIGNAL))), "from afar");
    assert.equal(await readFile(join(shm, "staged"), "utf8"), "from afar");
  });

  test("a file that is shorter than the slice is an error, not a short answer", async (t) => {
    const store = makeFileDatastore({ id: "file", folder: await testFolder(t) });
    const location = await put(store, Buffer.from("short"));
    const stream = await store.open(location, { offset: 0, length: 100 }, SIGNAL);
    await assert.rejects(read(stream), /shorter/);
  });

  test("a reader who does not read costs no memory", async (t) => {
    const store = makeFileDatastore({ id: "file", folder: await testFolder(t) });
    const location = await put(store, randomBytes(16 * 1024 * 1024));
    const before = process.memoryUsage();
    const streams = await Promise.all(Array.from({ length: 100 }, () => store.open(location, undefined, SIGNAL)));
    const after = process.memoryUsage();
    assert.ok(after.external - before.external < 8 * 1024 * 1024);
    for (const stream of streams) await stream?.cancel();
  });
});

describe("a bucket as a datastore", () => {
  test("names its place so that two configurations of one bucket are seen to be the same", () => {
    const place = (endpoint: string, ssl?: boolean) =>
      makeS3Datastore({ id: "x", endpoint, ssl, bucketName: "media", accessKeyId: "a", accessSecret: "b" }).place;
    assert.equal(place("store.example"), place("https://store.example/"));
    assert.equal(place("store.example", true), "https://store.example/media");
    assert.equal(place("127.0.0.1:9000", false), "http://127.0.0.1:9000/media");
    assert.notEqual(place("store.example"), place("store.example", false));
  });

  test("a wrong secret is an error, not an absent object", async (t) => {
    const { endpoint, bucket, accessKeyId } = await openTestBucket(t);
    const keys = { accessKeyId, accessSecret: "wrong" };
    const store = makeS3Datastore({ id: "x", endpoint, bucketName: bucket, ...keys, tempPath: await testFolder(t) });
    t.after(() => store.close());
    await assert.rejects(store.open("ab", undefined, SIGNAL));
  });

  test("a body that breaks off is an error, not a short answer", async (t) => {
    const { options } = await startFailingStore(t, (_request, response) => {
      response.writeHead(200, { "content-length": "10", etag: '"1"' });
      response.write("cut", () => response.destroy());
    });
    const store = makeS3Datastore({ id: "x", ...options });
    t.after(() => store.close());
    await assert.rejects(read(await store.open("ab", undefined, SIGNAL)));
  });

  test("a bucket that is not there is an error, not an absent object", async (t) => {
    const { options } = await startFailingStore(t, (_request, response) => refuse(response, 404, "NoSuchBucket"));
    const store = makeS3Datastore({ id: "x", ...options });
    t.after(() => store.close());
    await assert.rejects(store.open("ab", undefined, SIGNAL), { name: "NoSuchBucket" });
  });

  test("asks for the region's signature, the storage class and the path that the configuration names", async (t) => {
    const seen: IncomingHttpHeaders[] = [];
    const { options, requests } = await startFailingStore(t, (request, response) => {
      seen.push(request.headers);
      response.writeHead(200, { etag: '"1"' }).end();
    });
    const more = { region: "eu-north-7", storageClass: "STANDARD_IA", tempPath: await testFolder(t) };
    const store = makeS3Datastore({ id: "x", ...options, ...more });
    t.after(() => store.close());
    const file = await stage(store, Buffer.from("hello"));
    await store.put("ab/cd", file, SIGNAL);
    assert.deepEqual(requests, ["PUT /media/ab/cd"]);
    assert.equal(seen[0]?.["x-amz-storage-class"], "STANDARD_IA");
    assert.equal(seen[0]?.["content-length"], "5");
    assert.equal(seen[0]?.["transfer-encoding"], undefined);
    assert.equal(seen[0]?.expect, undefined);
    assert.match(seen[0]?.authorization ?? "", /\/eu-north-7\/s3\/aws4_request/);
  });
});
