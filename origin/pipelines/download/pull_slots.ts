import { MatrixError } from "../../../shared/matrix_error.ts";
import { WorkQueue } from "../../platform/work_queue.ts";

/** Runs a fetch when its turn comes. Errors: 503 `M_UNKNOWN` when too many wait, or the turn does not come in time. */
export type PullSlots = <T>(serverName: string, work: () => Promise<T>) => Promise<T>;

/** What {@link makePullSlots} needs. */
export interface PullSlotOptions {
  /** Fetches at the same time (`downloads.numWorkers`); 0: no limit. */
  readonly workers: number;
  /** Fetches that may wait for their turn. */
  readonly waiting: number;
  /** How long one may wait, in milliseconds. */
  readonly waitMs: number;
}

const RETRY_AFTER_MS = 5_000;

/**
 * Bounds how many media are fetched at the same time, from the first question to the last byte. One server gets half of the
 * places at most, so that the slowest of them does not hold up all others.
 */
export function makePullSlots({ workers, waiting, waitMs }: PullSlotOptions): PullSlots {
  const all = new WorkQueue({ atOnce: workers > 0 ? workers : Number.POSITIVE_INFINITY, waiting, full: busy });
  const each = new Map<string, WorkQueue>();

  function queueOf(serverName: string): WorkQueue {
    const known = each.get(serverName);
    if (known) return known;
    const half = workers > 0 ? Math.ceil(workers / 2) : Number.POSITIVE_INFINITY;
    const queue = new WorkQueue({ atOnce: half, waiting, full: busy });
    each.set(serverName, queue);
    return queue;
  }

  return async (serverName, work) => {
    const queue = queueOf(serverName);
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(busy()), waitMs);
    const begin = () => {
      clearTimeout(timer);
      return work();
    };
    try {
      return await queue.run(() => all.run(begin, { signal: patience.signal }), { signal: patience.signal });
    } finally {
      clearTimeout(timer);
      if (queue.running + queue.waiting === 0) each.delete(serverName);
    }
  };
}

function busy(): MatrixError {
  return new MatrixError("M_UNKNOWN", "Too much media of other servers is being fetched at the moment", {
    status: 503,
    retryAfterMs: RETRY_AFTER_MS,
  });
}
