import { LRUCache } from "lru-cache";
import * as z from "zod";
import { Failure, type FailureKind, isFailure } from "../../../shared/matrix/failure.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { SteadyClock } from "../../platform/clock.ts";

/** What is remembered, and told to the other processes, of a fetch that failed. Times in milliseconds. */
export interface PullFailure {
  /** On behalf of which of our servers it was tried: another may be let in. */
  readonly asking: string;
  readonly kind: FailureKind;
  readonly message: string;
  /** For how long nobody tries again. */
  readonly keepMs: number;
}

/** A year. */
const LONGEST_KEPT_MS = 366 * 24 * 3_600_000;

/** What a fetch may fail with that is told to other processes. */
const KINDS = [
  ...["absent", "refused", "unreadable", "too_large", "limited", "not_yet", "busy", "unavailable", "no_room"],
  ...["peer_failed", "peer_slow", "peer_too_large", "loop", "conflict", "ours"],
] as const satisfies readonly FailureKind[];

/** A {@link PullFailure} as another process tells it: it is forgotten some day. */
export const PULL_FAILURE: z.ZodType<PullFailure> = z.object({
  asking: z.string(),
  kind: z.enum(KINDS),
  message: z.string(),
  keepMs: z.number().nonnegative().max(LONGEST_KEPT_MS),
});

/** Fetches that failed, so that nobody waits for the same again and again. */
export interface PullFailures {
  /** The error of the last try, while it is remembered. */
  find(asking: string, mxc: Mxc): Failure | undefined;
  note(uri: string, failure: PullFailure): void;
  /** What is to be remembered of an error; `keepMs` 0: nothing. */
  describe(asking: string, error: Error): PullFailure;
}

/** Bounded, since anybody may ask for media that does not exist. */
const MAX_FAILURES = 20_000;

/** Our own limits and troubles, and media that is about to be uploaded, say nothing of the next try. */
const NOT_KEPT: ReadonlySet<FailureKind> = new Set(["limited", "ours", "busy", "unavailable", "no_room", "not_yet"]);
/** Such an answer is believed for long. */
const DEFINITE: ReadonlySet<FailureKind> = new Set(["absent", "peer_too_large"]);

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
      return found && leftMs > 0 ? toFailure(found.failure, leftMs) : undefined;
    },
    note(uri, failure) {
      const untilMs = clock() + failure.keepMs;
      if (failure.keepMs > 0) known.set(`${failure.asking} ${uri}`, { failure, untilMs });
    },
    describe(asking, error) {
      const kind = kindOf(error);
      const retryAfterMs = isFailure(error) ? error.retryAfterMs : undefined;
      return { asking, kind, message: error.message, keepMs: keepFor(kind, retryAfterMs) };
    },
  };

  function keepFor(kind: FailureKind, retryAfterMs: number | undefined): number {
    if (NOT_KEPT.has(kind)) return 0;
    if (DEFINITE.has(kind)) return keepMs;
    return Math.min(keepMs, retryAfterMs ?? OUTAGE_MS);
  }
}

/** Of which kind it is when a fetch throws this. */
export function kindOf(error: Error): FailureKind {
  if (isFailure(error)) return error.kind;
  return error instanceof MatrixError && error.errcode === "M_LIMIT_EXCEEDED" ? "limited" : "ours";
}

/** The failure that it was. */
export function toFailure({ kind, message }: PullFailure, leftMs?: number): Failure {
  const cause = new Error("the last try failed; not tried again yet");
  return new Failure(kind, message, { cause, retryAfterMs: DEFINITE.has(kind) ? undefined : leftMs });
}
