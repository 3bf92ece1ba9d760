import type { Base } from "./app_base.ts";
import { makeOrderCheck } from "./publish/order_check.ts";
import { makeOutbox, type Outbox } from "./publish/outbox.ts";
import { makePublish, type Publish } from "./publish/publish.ts";
import { makePublishKey, type PublishKey } from "./publish/publish_key.ts";
import { makeWithdrawKeys, type WithdrawKeys } from "./publish/withdraw_keys.ts";
import { type EdgeBucket, makeEdgeBucket } from "./stores/bucket/edge_bucket.ts";
import { nextGeneration } from "./stores/db/tables/generations.ts";

/** The part of `app.ts` that tells the edge what it may serve. */

/** The edge's bucket, and what is written into it. */
export interface Edge {
  readonly bucket: EdgeBucket;
  /** Whether the bucket honours conditional writes. */
  readonly keepsOrder: () => Promise<boolean>;
  readonly outbox: Outbox;
  readonly publish: Publish;
  readonly publishKey: PublishKey;
  readonly withdrawKeys: WithdrawKeys;
}

const WRITE_MS = 30_000;
const TOMBSTONE_MS = 60 * 60_000;
const PUBLICATION_MS = 10 * 60_000;

/** Opens the bucket; `undefined` where the configuration has no edge. */
export function openEdge(base: Base): Edge | undefined {
  const { config, db, clock, steady, log, metrics, datastores, findDatastore, makeTemporaryId } = base;
  if (!config.edge.enabled) return undefined;
  const bucket = makeEdgeBucket(config.edge.bucket);
  base.closers.push(() => bucket.close());
  const keepsOrder = makeOrderCheck({ bucket, makeId: makeTemporaryId, log });
  const outbox = makeOutbox({ db, clock, bucket, log, metrics, deadlineMs: WRITE_MS, tombstoneMs: TOMBSTONE_MS });
  return {
    bucket,
    keepsOrder,
    outbox,
    publish: makePublish({
      ...{ bucket, keepsOrder, log, metrics },
      datastores: findDatastore,
      bucketDatastoreId: datastores.values().find((store) => bucket.isSameBucket(store))?.id,
      deadlineMs: PUBLICATION_MS,
    }),
    publishKey: makePublishKey({
      ...{ bucket, clock, steady, log, metrics },
      drawGeneration: () => nextGeneration(db),
      deadlineMs: WRITE_MS,
    }),
    withdrawKeys: makeWithdrawKeys({ db, clock, bucket, outbox, log }),
  };
}
