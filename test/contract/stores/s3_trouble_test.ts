import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { makeEdgeBucket } from "../../../origin/stores/bucket/edge_bucket.ts";
import type { Datastore, StagedFile } from "../../../origin/stores/objects/datastore.ts";
import { makeS3Datastore, type S3DatastoreOptions } from "../../../origin/stores/objects/s3.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";
import { read, SIGNAL, stage, testFolder } from "./bodies.ts";
import { refuse, startFailingStore } from "./failing_store.ts";

/** An S3 store that is slow, silent, full or wrong: what a client is told, how soon, and what it costs meanwhile. */

const SIZE = 4_000_000;
const OBJECT = { location: "ab", size: SIZE };
const SLICE = { offset: 5, length: 10 };
/** In parts. */
const LARGE_BYTES = 40 * 1024 * 1024;

async function open(
  t: Lifetime,
  { requests, options }: Awaited<ReturnType<typeof startFailingStore>>,
  limits: S3DatastoreOptions["limits"] = {},
): Promise<{ store: Datastore; requests: string[] }> {
  const store = makeS3Datastore({ id: "x", ...options, tempPath: await testFolder(t), limits });
  t.after(() => store.close());
  return { store, requests };
}

/** A file that takes no place on the disk. */
async function stageLarge(store: Datastore): Promise<StagedFile> {
  const file = await stage(store, new Uint8Array());
  await truncate(file.path, LARGE_BYTES);
  return { ...file, size: LARGE_BYTES };
}

const trouble = (status: number, cause: RegExp) => (thrown: unknown) => {
  const error = toMatrixError(thrown);
  assert.deepEqual([error.errcode, error.status], ["M_UNKNOWN", status]);
  assert.ok((error.retryAfterMs ?? 0) > 0);
  assert.match(String(error.cause), cause);
  return true;
};

describe("an S3 store in a bad hour", () => {
  test("that fails is 503 with a time to retry", async (t) => {
    const failing = await startFailingStore(t, (_request, response) => refuse(response, 500, "InternalError"));
    const { store } = await open(t, failing);
    const file = await stage(store, Buffer.from("hello"));
    await assert.rejects(store.open(OBJECT, undefined, SIGNAL), trouble(503, /InternalError/));
    await assert.rejects(store.has(OBJECT, SIGNAL), trouble(503, /Unknown/));
    await assert.rejects(store.put("ab", file, SIGNAL), trouble(503, /InternalError/));
  });

  test("that is full is 507 and says so", async (t) => {
    const full = await startFailingStore(t, (_request, response) => refuse(response, 507, "XMinioStorageFull"));
    const { store } = await open(t, full);
    const put = store.put("ab", await stage(store, Buffer.from("hello")), SIGNAL);
    await assert.rejects(put, (thrown: unknown) => {
      const error = toMatrixError(thrown);
      assert.match(error.message, /no room left/);
      return trouble(507, /XMinioStorageFull/)(error);
    });
  });

  test("that is silent is 503, and is not asked again", async (t) => {
    const { store, requests } = await open(t, await startFailingStore(t, () => {}), { answerMs: 40, silenceMs: 40 });
    const file = await stage(store, Buffer.from("hello"));
    await assert.rejects(store.open(OBJECT, undefined, SIGNAL), trouble(503, /silent/));
    await assert.rejects(store.open(OBJECT, SLICE, SIGNAL), trouble(503, /silent/));
    await assert.rejects(store.has(OBJECT, SIGNAL), trouble(503, /./));
    await assert.rejects(store.put("ab", file, SIGNAL), trouble(503, /silent/));
    assert.deepEqual(requests, ["GET /media/ab", "GET /media/ab", "HEAD /media/ab", "PUT /media/ab"]);
  });

  test("that goes silent over the parts of a large object keeps neither memory nor connections of ours", async (t) => {
    let held = 0;
    const silent = await startFailingStore(t, (request, response) => {
      if (isBeginning(request.url)) return begin(response);
      if (request.method === "DELETE") return void response.writeHead(204).end();
      held += 1;
      request.socket.once("close", () => {
        held -= 1;
      });
    });
    const { store, requests } = await open(t, silent, { silenceMs: 300 });
    await assert.rejects(store.put("ab", await stageLarge(store), SIGNAL), trouble(503, /silent/));
    await until(() => held === 0 && requests.includes("DELETE /media/ab"), "the parts are let go");
  });

  test("that has an object of another size has it not", async (t) => {
    const body = Buffer.alloc(10);
    const { store } = await open(
      t,
      await startFailingStore(t, (request, response) => {
        const isPart = request.headers.range !== undefined;
        const range = isPart ? { "content-range": "bytes 0-9/10" } : {};
        response.writeHead(isPart ? 206 : 200, { "content-length": "10", ...range }).end(body);
      }),
    );
    for (const size of [9, 11]) {
      const object = { location: "ab", size };
      assert.equal(await store.has(object, SIGNAL), false);
      assert.equal(await store.open(object, undefined, SIGNAL), undefined);
      assert.equal(await store.open(object, { offset: 0, length: 10 }, SIGNAL), undefined);
    }
  });

  test("that does not know ranges is an error, not another answer", async (t) => {
    const whole = await startFailingStore(t, (_request, response) => response.end(Buffer.alloc(SIZE)));
    const { store } = await open(t, whole);
    await assert.rejects(store.open(OBJECT, SLICE, SIGNAL), trouble(503, /ranges/));
  });
});

describe("readers who pause, as many as there are connections for them", () => {
  const READERS = 3;

  async function stageReaders(t: Lifetime) {
    const { store } = await open(
      t,
      await startFailingStore(t, (request, response) => {
        if (request.method === "GET") response.end(Buffer.alloc(SIZE));
        else response.writeHead(200, { etag: '"1"', "content-length": request.method === "HEAD" ? SIZE : 0 }).end();
      }),
      { readers: READERS },
    );
    const opened = Array.from({ length: READERS }, () => store.open(OBJECT, undefined, SIGNAL));
    const readers = (await Promise.all(opened)).map((stream) => stream?.getReader());
    for (const reader of readers) await reader?.read();
    return { store, readers };
  }

  test("keep nobody from storing, and the next reader is told at once to come again", async (t) => {
    const { store } = await stageReaders(t);
    await store.put("new", await stage(store, Buffer.from("hello")), SIGNAL);
    assert.equal(await store.has(OBJECT, SIGNAL), true);
    await store.remove("old");
    await assert.rejects(store.open(OBJECT, undefined, SIGNAL), trouble(503, /Too many/));
  });

  test("make room when they leave, whichever way", async (t) => {
    const { store, readers } = await stageReaders(t);
    await readers[0]?.cancel();
    const gone = new AbortController();
    const next = await store.open(OBJECT, undefined, gone.signal);
    gone.abort(new Error("left"));
    await assert.rejects(read(next), /left/);
    for (let times = 0; times < 2 * READERS; times += 1) {
      assert.equal((await read(await store.open(OBJECT, undefined, SIGNAL)))?.length, SIZE);
    }
  });
});

describe("large objects", () => {
  test("go as many at once as memory is set aside for, whoever else wants to", async (t) => {
    const AT_ONCE = 8;
    const begun: string[] = [];
    const waiting = new Map<string, ServerResponse[]>();
    const slow = await startFailingStore(t, (request, response) => {
      const key = (request.url ?? "").split("?")[0] ?? "";
      if (isBeginning(request.url)) {
        begun.push(key);
        return begin(response);
      }
      if (request.method === "PUT") waiting.set(key, [...(waiting.get(key) ?? []), response]);
      else response.end("<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>");
    });
    const { store } = await open(t, slow);
    const file = await stageLarge(store);
    const puts = Array.from({ length: AT_ONCE + 3 }, (_, n) => store.put(join("ab", `${n}`), file, SIGNAL));
    const held = () => [...waiting.values()].reduce((sum, parts) => sum + parts.length, 0);
    await until(() => held() === 2 * AT_ONCE, "two parts of each are sent");
    assert.equal(begun.length, AT_ONCE);

    const release = setInterval(() => {
      for (const parts of waiting.values()) for (const part of parts.splice(0)) part.setHeader("etag", '"1"').end();
    }, 5);
    t.after(() => clearInterval(release));
    await Promise.all(puts);
    assert.equal(begun.length, puts.length);
  });

  test("that are one too many for memory are not published at all, until there is room again", async (t) => {
    const AT_ONCE = 8;
    let begun = 0;
    const slow = await startFailingStore(t, (request, response) => {
      if (request.method === "HEAD") refuse(response, 404, "NotFound");
      else if (isBeginning(request.url)) begun += 1;
    });
    const bucket = makeEdgeBucket(slow.options);
    t.after(() => bucket.close());
    let abort = new AbortController();
    const bytes = () =>
      new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
    const put = (n: number) => bucket.putBody(`b/${n}`, LARGE_BYTES, async () => bytes(), abort.signal);
    const puts = Promise.allSettled(Array.from({ length: AT_ONCE }, (_, n) => put(n)));
    await until(() => begun === AT_ONCE, "all that there is room for have begun");
    await assert.rejects(put(AT_ONCE), /too many large ones/);

    abort.abort(new Error("enough"));
    await puts;
    abort = new AbortController();
    const late = assert.rejects(put(AT_ONCE));
    await until(() => begun === AT_ONCE + 1, "there is room for another");
    abort.abort();
    await late;
  });

  test("that a killed process left half-sent are thrown away, when they are old and ours", async (t) => {
    const name = (n: number) => `${"a".repeat(64)}-${n}`;
    const upload = (key: string, id: string, at: string) =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${at}</Initiated></Upload>`;
    const pages = [
      upload(name(1), "old", "2026-01-01T00:00:00Z") + upload("somebody/else.zip", "theirs", "2020-01-01T00:00:00Z"),
      upload(name(2), "young", "2026-01-03T00:00:00Z") +
        upload(`aaaa/${name(3).slice(4)}`, "gone", "2026-01-01T00:00:00Z"),
    ];
    const aborted: string[] = [];
    const { store } = await open(
      t,
      await startFailingStore(t, (request, response) => {
        const query = new URL(request.url ?? "", "http://store").searchParams;
        if (request.method === "DELETE") {
          aborted.push(`${new URL(request.url ?? "", "http://store").pathname} ${query.get("uploadId")}`);
          if (query.get("uploadId") === "gone") return refuse(response, 404, "NoSuchUpload");
          return void response.writeHead(204).end();
        }
        const page = query.get("key-marker") === null ? 0 : 1;
        const more = `<IsTruncated>${page === 0}</IsTruncated><NextKeyMarker>k</NextKeyMarker>`;
        response.writeHead(200, { "content-type": "application/xml" });
        response.end(`<ListMultipartUploadsResult>${more}${pages[page]}</ListMultipartUploadsResult>`);
      }),
    );
    await store.removeUnfinished?.(Date.parse("2026-01-02T00:00:00Z"), SIGNAL);
    assert.deepEqual(aborted, [`/media/${name(1)} old`, `/media/aaaa/${name(3).slice(4)} gone`]);
  });
});

function isBeginning(url: string | undefined): boolean {
  return new URL(url ?? "", "http://store").searchParams.has("uploads");
}

function begin(response: ServerResponse): void {
  response.end(
    "<InitiateMultipartUploadResult><Bucket>media</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>",
  );
}
