import type { Clock } from "../platform/clock.ts";
import type { Database } from "../stores/db/database.ts";
import { expirePendingUploads } from "../stores/db/tables/pending_uploads.ts";

/** What {@link makeExpirePending} needs. */
export interface ExpirePendingParts {
  readonly db: Database;
  readonly clock: Clock;
  /** How long an expired id stays fillable for a body that began to arrive before, in milliseconds. */
  readonly graceMs: number;
}

/**
 * Clears away ids that were reserved and not filled in time. They count as expired from their very time on; only an upload that
 * began before may still finish until they are cleared.
 */
export function makeExpirePending({ db, clock, graceMs }: ExpirePendingParts): () => Promise<number> {
  return async function expirePending() {
    return await expirePendingUploads(db, clock() - graceMs);
  };
}
