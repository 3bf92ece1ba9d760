import { signingKeyKey } from "../../shared/tiers/object_key.ts";
import type { WithdrawnKeys } from "../matrix/keys/server_keys.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Database } from "../stores/db/database.ts";
import { nextGeneration } from "../stores/db/tables/generations.ts";
import type { Outbox } from "./outbox.ts";
import { enqueueTombstones } from "./tombstones.ts";

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
    await db.transaction(async (tx) => {
      const generation = await nextGeneration(tx);
      const erased = published.map((key) => ({ key, generation }));
      await enqueueTombstones(tx, erased, { at: clock() });
    });
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
