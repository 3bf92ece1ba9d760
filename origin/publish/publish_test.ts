import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "../platform/log.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Media } from "../stores/db/tables/media.ts";
import { makePublish } from "./publish.ts";

const media = (mediaId: string) =>
  ({ serverName: "example.org", mediaId, generation: 1, blob: { datastoreId: "bucket", location: "b/x" } }) as Media;

test("so many publications run at once, so many wait, and what is more is left to the next miss at once", async () => {
  const begun: string[] = [];
  const slow = Promise.withResolvers<void>();
  const bucket = {
    async writeDocument(key: string) {
      begun.push(key);
      await slow.promise;
      return "written";
    },
  } as Partial<EdgeBucket> as EdgeBucket;
  let refused = 0;
  const publish = makePublish({
    bucket,
    keepsOrder: async () => true,
    datastores: () => undefined,
    bucketDatastoreId: "bucket",
    log: { ...silentLog, warn: () => (refused += 1) },
    metrics: { published: () => undefined },
    deadlineMs: 600_000,
  });
  const all = Array.from({ length: 64 + 1_000 }, (_, n) => publish.media(media(`m${n}`)));
  await publish.media(media("one too many"));
  assert.equal(refused, 1);
  assert.equal(begun.length, 64);

  slow.resolve();
  await Promise.all(all);
  assert.equal(begun.length, 64 + 1_000);
  await publish.media(media("one too many"));
  assert.equal(begun.length, 64 + 1_000 + 1);
});
