import { signingKeyKey } from "../../shared/tiers/object_key.ts";
import type { WithdrawnKeys } from "../matrix/keys/server_keys.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Database, Queryable } from "../stores/db/database.ts";
import { nextGeneration } from "../stores/db/tables/generations.ts";
import { enqueueOutbox } from "../stores/db/tables/outbox.ts";
import type { Outbox } from "./outbox.ts";

/** What {@link makeWithdrawKeys} needs. */
export interface WithdrawKeysParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly bucket: Pick<EdgeBucket, "readDocument">;
  readonly outbox: Pick<Outbox, "deliver">;
  readonly log: Log;
}

/** Makes the edge forget keys: see {@link makeWithdrawKeys}. */
export type WithdrawKeys = (withdrawn: WithdrawnKeys) => Promise<void>;

/** A server may withdraw many keys, of which it has used one: only what lies in the bucket is worth a tombstone. */
const LOOK_MS = 3_000;

/**
 * Makes the edge forget the keys that a server has withdrawn. When it resolves that is noted, and will be done even if we
 * crash; the edge is being told meanwhile, since the request that brought it to light is not about these keys.
 *
 * The tombstone's generation is drawn now, when the server has answered: whatever was learnt from an earlier answer, by any
 * process, comes too late.
 */
export function makeWithdrawKeys({ db, clock, bucket, outbox, log }: WithdrawKeysParts): WithdrawKeys {
  return async function withdrawKeys({ serverName, keyIds }) {
    const keys = keyIds.map((keyId) => signingKeyKey(serverName, keyId));
    const there = await Promise.all(keys.map(mayBeThere));
    const published = keys.filter((_, at) => there[at]);
    if (published.length === 0) return;
    await db.transaction((tx) => entomb(tx, published, clock()));
    outbox.deliver(published).catch((error) => {
      log.warn({ serverName, error }, "cannot tell the edge of a withdrawn key yet; the job goes on");
    });
  };

  /** What cannot be read may be there. */
  async function mayBeThere(key: string): Promise<boolean> {
    try {
      const found = await bucket.readDocument(key, AbortSignal.timeout(LOOK_MS));
      return found !== undefined && !found.gone;
    } catch {
      return true;
    }
  }
}

async function entomb(tx: Queryable, keys: readonly string[], at: number): Promise<void> {
  const generation = await nextGeneration(tx);
  const document = { v: 1, gen: generation, gone: true, at } as const;
  for (const key of keys) await enqueueOutbox(tx, { key, generation, document, createdAt: at });
}
