import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Database } from "../../stores/db/database.ts";
import { findMedia, type Media } from "../../stores/db/tables/media.ts";
import { findPendingUpload } from "../../stores/db/tables/pending_uploads.ts";
import { type Waiter, WaitingRoom } from "./waiting_room.ts";

/** What {@link makeAwaitPending} needs. Times in milliseconds. */
export interface AwaitPendingParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "uploadWaiters">;
  /** How many requests may wait at once. One more, and the one that has waited longest is answered. */
  readonly maxWaiting: number;
  /** How often the database is asked about a media that is waited for, in case the news of it was lost. */
  readonly recheckMs: number;
}

/** How long somebody is willing to wait, in milliseconds, and the signal that they have left. */
export interface Patience {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** Waits for media whose id is reserved: see {@link makeAwaitPending}. */
export interface AwaitPending {
  /**
   * The media as soon as it is there; `undefined` when nobody may fill this id (any more).
   *
   * Errors: 504 `M_NOT_YET_UPLOADED` when it does not come in time, or those who wait are too many.
   */
  wait(mxc: Mxc, patience: Patience): Promise<Media | undefined>;
  /** The media of this URI has its bytes now. */
  arrived(uri: string): Promise<void>;
  /** News may have been lost: looks for all who wait. */
  lookAgain(): Promise<void>;
  /** Answers everybody who waits, now and from now on. */
  close(): void;
}

type Seen =
  | { readonly kind: "settled"; readonly media: Media | undefined }
  | { readonly kind: "pending"; readonly expiresAt: number };

/**
 * Waiting for asynchronous uploads (Client-Server API, `timeout_ms`). Nobody who waits holds anything but their own
 * connection: they are woken by the notification of the one transaction that fills the id, and one look at the database
 * serves all who wait for the same media. A notification that is lost costs them until the next look.
 */
export function makeAwaitPending(parts: AwaitPendingParts): AwaitPending {
  const { db, clock } = parts;
  const room = new WaitingRoom<Media | undefined>({
    maxWaiting: parts.maxWaiting,
    recheckMs: parts.recheckMs,
    onCount: (waiting) => parts.metrics.uploadWaiters(waiting),
    check,
  });

  async function look(mxc: Mxc): Promise<Seen> {
    const pending = await findPendingUpload(db, mxc);
    if (!pending) return { kind: "settled", media: await findMedia(db, mxc) };
    if (pending.expiresAt <= clock()) return { kind: "settled", media: undefined };
    return { kind: "pending", expiresAt: pending.expiresAt };
  }

  /** Looks once for all who wait for this media now; who comes later looks for themselves. */
  async function check(mxc: Mxc, waiters: readonly Waiter<Media | undefined>[]): Promise<void> {
    try {
      const seen = await look(mxc);
      if (seen.kind === "settled") for (const waiter of waiters) waiter.settle(seen.media);
    } catch (error) {
      parts.log.warn({ error }, "cannot see yet whether an upload has arrived; looking again later");
    }
  }

  return {
    async wait(mxc, { waitMs, signal }) {
      // In the room before the look: what arrives between the two wakes us.
      const waiter = room.enter(mxc);
      try {
        const seen = await look(mxc);
        if (seen.kind === "settled") return seen.media;
        if (waitMs === 0) throw notYetUploaded();
        const leftMs = seen.expiresAt - clock();
        const outcome = await waiter.outcome(Math.min(waitMs, leftMs), signal);
        if (outcome.kind === "settled") return outcome.value;
        if (outcome.kind === "late" && leftMs <= waitMs) return undefined;
        throw notYetUploaded();
      } finally {
        waiter.leave();
      }
    },
    arrived: (uri) => room.wake(uri),
    lookAgain: () => room.wakeAll(),
    close: () => room.close(),
  };
}

/** The answer to who asks for media that its uploader has promised and not sent. */
function notYetUploaded(): MatrixError {
  return new MatrixError("M_NOT_YET_UPLOADED", "Media has not been uploaded yet");
}

/** What the notification of an arrival says. */
export function arrivalOf(mxc: Mxc): string {
  return formatMxc(mxc);
}
