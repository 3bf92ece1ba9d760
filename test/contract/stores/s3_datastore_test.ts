import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { describe, test } from "node:test";
import { makeS3Datastore } from "../../../origin/stores/objects/s3.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import { openTestBucket } from "../../support/bucket.ts";
import { read, SIGNAL, stage, testFolder } from "./bodies.ts";
import { refuse, startFailingStore } from "./failing_store.ts";

/** Of what a client is told, when the store has failed for this reason. */
function isTrouble(cause: RegExp): (thrown: unknown) => boolean {
  return (thrown) => {
    const error = toMatrixError(thrown);
    assert.deepEqual([error.errcode, error.status, error.retryAfterMs], ["M_UNKNOWN", 503, 5_000]);
    const { name, message } = error.cause as Error;
    assert.match(`${name}: ${message}`, cause);
    return true;
  };
}

const OBJECT = { location: "ab", size: 10 };

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
    await assert.rejects(store.open(OBJECT, undefined, SIGNAL));
  });

  test("a body that breaks off is an error, not a short answer", async (t) => {
    const { options } = await startFailingStore(t, (_request, response) => {
      response.writeHead(200, { "content-length": "10", etag: '"1"' });
      response.write("cut", () => response.destroy());
    });
    const store = makeS3Datastore({ id: "x", ...options });
    t.after(() => store.close());
    await assert.rejects(read(await store.open(OBJECT, undefined, SIGNAL)));
  });

  test("a bucket that is not there is an error, not an absent object", async (t) => {
    const { options } = await startFailingStore(t, (_request, response) => refuse(response, 404, "NoSuchBucket"));
    const store = makeS3Datastore({ id: "x", ...options });
    t.after(() => store.close());
    await assert.rejects(store.open(OBJECT, undefined, SIGNAL), isTrouble(/NoSuchBucket/));
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
