import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { type EdgeBucket, makeEdgeBucket } from "../../../origin/stores/bucket/edge_bucket.ts";
import { bodyKey } from "../../../shared/tiers/object_key.ts";
import { openTestBucket, type TestBucket } from "../../support/bucket.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { refuse, startFailingStore } from "./failing_store.ts";
import { sha256 } from "./rows.ts";

const streamOf = (bytes: Uint8Array) =>
  new Response(bytes as Uint8Array<ArrayBuffer>).body as ReadableStream<Uint8Array>;

describe("the edge bucket", () => {
  const suite = lifetimeOfSuite();
  let store: TestBucket;
  let bucket: EdgeBucket;
  before(async () => {
    store = await openTestBucket(suite);
    const { endpoint, accessKeyId, accessSecret } = store;
    bucket = makeEdgeBucket({ endpoint, bucketName: store.bucket, accessKeyId, accessSecret });
    suite.after(() => bucket.close());
  });

  const textOf = async (key: string) => (await store.r2.get(key))?.text();

  test("a body is sent once, whoever asks; then it is known to be there", async () => {
    const key = bodyKey(sha256("body"), 1);
    let opened = 0;
    const open = async () => {
      opened += 1;
      return streamOf(Buffer.from("body"));
    };
    assert.equal(await bucket.hasBody(key), false);
    assert.equal(await bucket.putBody(key, 4, open), "written");
    assert.equal(await bucket.putBody(key, 4, open), "present");
    assert.equal(opened, 1);
    assert.equal(await textOf(key), "body");
    assert.equal(await bucket.hasBody(key), true);
  });

  test("many who put the same body at once all succeed", async () => {
    const bytes = randomBytes(200_000);
    const key = bodyKey(sha256("herd"), 1);
    await Promise.all(Array.from({ length: 10 }, () => bucket.putBody(key, bytes.length, async () => streamOf(bytes))));
    assert.ok(bytes.equals(Buffer.from((await (await store.r2.get(key))?.arrayBuffer()) ?? new ArrayBuffer())));
  });

  test("a large body goes in parts and arrives as it was", async () => {
    const bytes = randomBytes(33 * 1024 * 1024);
    const key = bodyKey(sha256("large"), 1);
    await bucket.putBody(key, bytes.length, async () => streamOf(bytes));
    assert.ok(bytes.equals(Buffer.from((await (await store.r2.get(key))?.arrayBuffer()) ?? new ArrayBuffer())));
  });

  test("a body that fails, or has other bytes than was said, is an error at once and leaves nothing", async () => {
    const failing = () =>
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          controller.enqueue(Buffer.from("some"));
          throw new Error("the disk is gone");
        },
      });
    const sources: [string, number, () => ReadableStream<Uint8Array>, RegExp][] = [
      ["short", 10, () => streamOf(Buffer.from("cut")), /3 bytes as one of 10/],
      ["long", 2, () => streamOf(Buffer.from("more")), /4 bytes as one of 2/],
      ["failing", 10, failing, /the disk is gone/],
      ["failing, in parts", 40 * 1024 * 1024, failing, /the disk is gone/],
      ["short, in parts", 40 * 1024 * 1024, () => streamOf(Buffer.from("cut")), /3 bytes as one of/],
    ];
    for (const [name, size, open, error] of sources) {
      const key = bodyKey(sha256(name), 1);
      await assert.rejects(
        bucket.putBody(key, size, async () => open()),
        error,
        name,
      );
      assert.equal(await bucket.hasBody(key), false, name);
    }
  });

  test("listBodies gives copies of bodies only, whatever else has a key like theirs", async () => {
    const key = bodyKey(sha256("listed"), 42);
    await bucket.putBody(key, 6, async () => streamOf(Buffer.from("listed")));
    await store.r2.put(`b/${"0".repeat(63)}-1`, "a datastore's object with a prefix of one character");
    await store.r2.put("b/other", "somebody else's");
    const found = [];
    for await (const body of bucket.listBodies()) found.push(body);
    const listed = found.find((body) => body.key === key);
    assert.deepEqual(
      { ...listed, modifiedMs: 0 },
      { key, sha256: sha256("listed"), generation: 42, size: 6, modifiedMs: 0 },
    );
    assert.ok(Math.abs((listed?.modifiedMs ?? 0) - Date.now()) < 60_000);
    assert.ok(found.every((body) => body.key === bodyKey(body.sha256, body.generation)));
  });

  test("a removed body is gone, and removing it again is success", async () => {
    const key = bodyKey(sha256("removed"), 1);
    await bucket.putBody(key, 1, async () => streamOf(Buffer.from("x")));
    await bucket.removeBody(key);
    await bucket.removeBody(key);
    assert.equal(await bucket.hasBody(key), false);
  });

  test("of two documents the larger generation wins, in whatever order they come", async () => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const key = `d/order/${first}`;
      assert.equal(await bucket.writeDocument(key, { gen: first }), "written");
      assert.equal(await bucket.writeDocument(key, { gen: second }), second > first ? "written" : "superseded");
      assert.deepEqual(await bucket.readDocument(key), { gen: 2 });
    }
  });

  test("of one generation the document that knows a body wins, and a tombstone is never replaced by it", async () => {
    assert.equal(await bucket.writeDocument("d/fill", { gen: 5 }), "written");
    assert.equal(await bucket.writeDocument("d/fill", { gen: 5, body: "b/x" }), "written");
    assert.equal(await bucket.writeDocument("d/fill", { gen: 5 }), "superseded");
    assert.deepEqual(await bucket.readDocument("d/fill"), { gen: 5, body: "b/x" });
    assert.equal(await bucket.writeDocument("d/gone", { gen: 5, gone: true }), "written");
    assert.equal(await bucket.writeDocument("d/gone", { gen: 5, body: "b/x" }), "superseded");
  });

  test("the same document again counts as written", async () => {
    const document = { v: 1, gen: 7, type: "text/plain" };
    assert.equal(await bucket.writeDocument("d/same", document), "written");
    assert.equal(await bucket.writeDocument("d/same", document), "written");
  });

  test("what cannot be read is replaced", async () => {
    for (const [index, text] of ["", "not json", "[]", "null", '{"gen":"1"}', '{"gen":1.5}'].entries()) {
      await store.r2.put(`d/odd/${index}`, text);
      assert.equal(await bucket.readDocument(`d/odd/${index}`), undefined);
      assert.equal(await bucket.writeDocument(`d/odd/${index}`, { gen: 1 }), "written", text);
    }
  });

  test("many writers of one key at once: the largest generation is there at the end", async () => {
    for (let round = 0; round < 5; round += 1) {
      const key = `d/many/${round}`;
      const generations = Array.from({ length: 12 }, (_, n) => ((n * 7) % 12) + 1);
      await Promise.all(generations.map((gen) => bucket.writeDocument(key, { gen })));
      assert.deepEqual(await bucket.readDocument(key), { gen: 12 });
    }
  });

  test("removeDocument removes only the generation it is told to", async () => {
    await bucket.writeDocument("d/stone", { gen: 3, gone: true });
    await bucket.removeDocument("d/stone", 2);
    assert.ok(await bucket.readDocument("d/stone"));
    await bucket.removeDocument("d/stone", 3);
    await bucket.removeDocument("d/stone", 3);
    assert.equal(await bucket.readDocument("d/stone"), undefined);
  });

  test("probe finds conditional writes here, and leaves nothing", async () => {
    assert.deepEqual(await bucket.probe("one"), { conditionalWrites: true });
    assert.deepEqual(await bucket.probe("one"), { conditionalWrites: true });
    assert.deepEqual((await store.r2.list({ prefix: "probe/" })).objects, []);
  });

  test("an unreachable store is an error in bounded time, not an answer", async () => {
    const lost = makeEdgeBucket({
      endpoint: "http://127.0.0.1:1",
      bucketName: "x",
      accessKeyId: "a",
      accessSecret: "b",
    });
    const soon = (ms = 400) => AbortSignal.timeout(ms);
    const started = Date.now();
    await assert.rejects(lost.writeDocument("d/x", { gen: 1 }, soon(3_000)), (error: Error) => {
      assert.match(error.message, /Cannot write d\/x in time/);
      assert.match(String(error.cause), /ECONNREFUSED/);
      return true;
    });
    await assert.rejects(lost.hasBody("b/x", soon()));
    await assert.rejects(lost.readDocument("d/x", soon()));
    await assert.rejects(lost.removeDocument("d/x", 1, soon()));
    await assert.rejects(lost.probe("x", soon()));
    assert.ok(Date.now() - started < 60_000);
    await lost.close();
  });

  test("knows a datastore that is the same bucket", () => {
    const place = `${store.endpoint}/${store.bucket}`;
    assert.equal(bucket.isSameBucket({ place }), true);
    assert.equal(bucket.isSameBucket({ place: `${place}2` }), false);
    assert.equal(bucket.isSameBucket({}), false);
  });
});

describe("the edge bucket on a store in a bad hour", () => {
  test("a store that asks for less is asked again until it takes the document", async (t) => {
    const store = await startFailingStore(t, (_request, response, nth) => {
      if (nth <= 7) refuse(response, nth % 2 ? 429 : 503, "SlowDown");
      else response.writeHead(200, { etag: '"1"' }).end();
    });
    const bucket = makeEdgeBucket(store.options);
    assert.equal(await bucket.writeDocument("d/slow", { gen: 1 }), "written");
    assert.equal(store.requests.length, 8);
    await bucket.close();
  });

  test("a write that got through although its answer was lost counts as written", async (t) => {
    const present = { text: "" };
    const store = await startFailingStore(t, (request, response, nth) => {
      if (request.method === "PUT" && nth === 1) {
        present.text = request.body.toString();
        response.destroy();
      } else if (request.method === "PUT") refuse(response, 412, "PreconditionFailed");
      else response.writeHead(200, { etag: '"1"' }).end(present.text);
    });
    const bucket = makeEdgeBucket(store.options);
    assert.equal(await bucket.writeDocument("d/lost", { gen: 9 }), "written");
    await bucket.close();
  });

  test("a body that failed half-way is opened and sent again", async (t) => {
    let stored = "";
    const store = await startFailingStore(t, (request, response, nth) => {
      if (request.method === "HEAD") response.writeHead(404).end();
      else if (nth <= 3) refuse(response, 500, "InternalError");
      else {
        stored = request.body.toString();
        response.writeHead(200).end();
      }
    });
    const bucket = makeEdgeBucket(store.options);
    let opened = 0;
    const open = async () => {
      opened += 1;
      return streamOf(Buffer.from("again and again"));
    };
    assert.equal(await bucket.putBody(bodyKey(sha256("x"), 1), 15, open), "written");
    assert.deepEqual([stored, opened], ["again and again", 3]);
    await bucket.close();
  });

  test("a body that another put meanwhile (412) is there", async (t) => {
    const store = await startFailingStore(t, (request, response) => {
      if (request.method === "HEAD") response.writeHead(404).end();
      else refuse(response, 412, "PreconditionFailed");
    });
    const bucket = makeEdgeBucket(store.options);
    await bucket.putBody(bodyKey(sha256("x"), 1), 1, async () => streamOf(Buffer.from("x")));
    assert.deepEqual(store.requests.length, 2);
    await bucket.close();
  });

  test("a store that refuses us is not asked again and again", async (t) => {
    const store = await startFailingStore(t, (_request, response) => refuse(response, 403, "AccessDenied"));
    const bucket = makeEdgeBucket(store.options);
    await assert.rejects(bucket.writeDocument("d/x", { gen: 1 }), { name: "AccessDenied" });
    await assert.rejects(bucket.probe("x"), { name: "AccessDenied" });
    assert.ok(store.requests.length <= 4);
    await bucket.close();
  });

  test("probe finds a store that refuses conditions, and one that ignores them", async (t) => {
    const refusing = await startFailingStore(t, (request, response) => {
      if (request.headers["if-none-match"] || request.headers["if-match"]) refuse(response, 501, "NotImplemented");
      else response.writeHead(204).end();
    });
    const ignoring = await startFailingStore(t, (request, response) => {
      response.writeHead(request.method === "DELETE" ? 204 : 200, { etag: '"1"' }).end();
    });
    for (const store of [refusing, ignoring]) {
      const bucket = makeEdgeBucket(store.options);
      assert.deepEqual(await bucket.probe("x"), { conditionalWrites: false });
      await bucket.close();
    }
  });

  test("on a store without conditional writes a document is refused at once, not written by luck", async (t) => {
    const store = await startFailingStore(t, (_request, response) => refuse(response, 501, "NotImplemented"));
    const bucket = makeEdgeBucket(store.options);
    await assert.rejects(bucket.writeDocument("d/x", { gen: 1 }), /no conditional writes/);
    await bucket.close();
  });
});
