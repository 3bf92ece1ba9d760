import type { Clock, SteadyClock } from "../platform/clock.ts";
import type { MakeId } from "../platform/ids.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { type EdgeBucket, makeEdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Database } from "../stores/db/database.ts";
import { nextGeneration } from "../stores/db/tables/generations.ts";
import type { Datastores } from "../stores/objects/datastores.ts";
import type { S3ClientOptions } from "../stores/objects/s3/s3_client.ts";
import { type KeepsOrder, makeOrderCheck } from "./order_check.ts";
import { makeOutbox, type Outbox } from "./outbox.ts";
import { makePublish, type Publish } from "./publish.ts";
import { makePublishKey, type PublishKey } from "./publish_key.ts";
import { makeWithdrawKeys, type WithdrawKeys } from "./withdraw_keys.ts";

/** What {@link Publishing} stands on. */
export interface PublishingParts {
  readonly db: Database;
  readonly datastores: Pick<Datastores, "find" | "values">;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "published" | "outboxWaiting">;
  /** A name that no other probe of the bucket uses at the same time. */
  readonly makeId: MakeId;
}

const WRITE_MS = 30_000;
const TOMBSTONE_MS = 60 * 60_000;
const PUBLICATION_MS = 10 * 60_000;

/**
 * Tells the edge what it may serve, through its bucket: media and keys after a miss, deletions from the outbox. An origin without
 * an edge has none of these: `undefined` stands for it everywhere.
 */
export class Publishing {
  readonly bucket: EdgeBucket;
  /** Whether the bucket honours conditional writes. */
  readonly keepsOrder: KeepsOrder;
  readonly outbox: Outbox;
  readonly publish: Publish;
  readonly publishKey: PublishKey;
  readonly withdrawKeys: WithdrawKeys;

  /** Connects to nothing yet. */
  constructor(settings: S3ClientOptions, parts: PublishingParts) {
    const { db, datastores, clock, steady, log, metrics, makeId } = parts;
    const bucket = makeEdgeBucket(settings);
    this.bucket = bucket;
    this.keepsOrder = makeOrderCheck({ bucket, makeId, log });
    this.outbox = makeOutbox({ db, clock, bucket, log, metrics, deadlineMs: WRITE_MS, tombstoneMs: TOMBSTONE_MS });
    this.publish = makePublish({
      ...{ bucket, keepsOrder: this.keepsOrder, log, metrics },
      datastores: (id) => datastores.find(id),
      bucketDatastoreId: datastores.values().find((store) => bucket.isSameBucket(store))?.id,
      deadlineMs: PUBLICATION_MS,
    });
    this.publishKey = makePublishKey({
      ...{ bucket, clock, steady, log, metrics },
      drawGeneration: () => nextGeneration(db),
      deadlineMs: WRITE_MS,
    });
    this.withdrawKeys = makeWithdrawKeys({ db, clock, bucket, outbox: this.outbox, log });
  }

  /** Releases the bucket's connections. */
  close(): Promise<void> {
    return this.bucket.close();
  }
}
