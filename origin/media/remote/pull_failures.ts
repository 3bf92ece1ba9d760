import { LRUCache } from "lru-cache";
import * as z from "zod";
import { isErrcode, MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { SteadyClock } from "../../platform/clock.ts";

/** What is remembered, and told to the other processes, of a fetch that failed. Times in milliseconds. */
export interface PullFailure {
  /** On behalf of which of our servers it was tried: another may be let in. */
  readonly asking: string;
  readonly errcode: string;
  readonly status: number;
  readonly message: string;
  /** For how long nobody tries again. */
  readonly keepMs: number;
}

/** A year. */
const LONGEST_KEPT_MS = 366 * 24 * 3_600_000;

/** A {@link PullFailure} as another process tells it: its status is one that can be answered, and it is forgotten some day. */
export const PULL_FAILURE: z.ZodType<PullFailure> = z.object({
  asking: z.string(),
  errcode: z.string(),
  status: z.int().min(400).max(599),
  message: z.string(),
  keepMs: z.number().nonnegative().max(LONGEST_KEPT_MS),
});

/** Fetches that failed, so that nobody waits for the same again and again. */
export interface PullFailures {
  /** The error of the last try, while it is remembered. */
  find(asking: string, mxc: Mxc): MatrixError | undefined;
  note(uri: string, failure: PullFailure): void;
  /** What is to be remembered of an error; `keepMs` 0: nothing. */
  describe(asking: string, error: MatrixError): PullFailure;
}

/** Bounded, since anybody may ask for media that does not exist. */
const MAX_FAILURES = 20_000;

/** Statuses that say nothing of the other server. */
const OURS = new Set([429, 500, 503, 507]);

/** A server that cannot be reached, or is at odds with itself, is tried again after a minute at most: such things pass. */
const OUTAGE_MS = 60_000;

/** Makes the memory. `keepMs`: for how long a definite answer ("there is no such media", "it is too large") is believed. */
export function makePullFailures({
  clock,
  keepMs,
}: {
  readonly clock: SteadyClock;
  readonly keepMs: number;
}): PullFailures {
  const known = new LRUCache<string, { readonly failure: PullFailure; readonly untilMs: number }>({
    max: MAX_FAILURES,
  });

  return {
    find(asking, mxc) {
      const key = `${asking} ${formatMxc(mxc)}`;
      const found = known.get(key);
      const leftMs = (found?.untilMs ?? 0) - clock();
      return found && leftMs > 0 ? toError(found.failure, leftMs) : undefined;
    },
    note(uri, failure) {
      const untilMs = clock() + failure.keepMs;
      if (failure.keepMs > 0) known.set(`${failure.asking} ${uri}`, { failure, untilMs });
    },
    describe(asking, { errcode, status, message, retryAfterMs }) {
      return { asking, errcode, status, message, keepMs: keepFor(errcode, status, retryAfterMs) };
    },
  };

  function keepFor(errcode: string, status: number, retryAfterMs: number | undefined): number {
    // Our own limits and troubles, and media that is about to be uploaded, say nothing of the next try.
    if (OURS.has(status) || errcode === "M_NOT_YET_UPLOADED") return 0;
    if (errcode === "M_NOT_FOUND" || errcode === "M_TOO_LARGE") return keepMs;
    return Math.min(keepMs, retryAfterMs ?? OUTAGE_MS);
  }
}

/** The error that a failure was. */
export function toError({ errcode, status, message }: PullFailure, leftMs?: number): MatrixError {
  const definite = errcode === "M_NOT_FOUND" || errcode === "M_TOO_LARGE";
  return new MatrixError(isErrcode(errcode) ? errcode : "M_UNKNOWN", message, {
    status,
    cause: new Error("the last try failed; not tried again yet"),
    ...(definite || leftMs === undefined ? {} : { retryAfterMs: leftMs }),
  });
}
