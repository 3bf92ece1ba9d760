import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Quotas } from "../../access/limits/quotas.ts";
import type { Domain } from "../../domains/domain.ts";
import type { Clock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { reserveMediaId } from "../../stores/db/tables/media_ids.ts";
import { countPendingUploads, insertPendingUpload } from "../../stores/db/tables/pending_uploads.ts";
import { lockUser } from "../../stores/db/tables/user_lock.ts";
import { drawMediaId } from "./draw_media_id.ts";

/** What {@link makeCreateUpload} needs. */
export interface CreateUploadParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly makeMediaId: MakeId;
  readonly quotas: Pick<Quotas, "admitUpload" | "of">;
}

/** An id that waits for its bytes until `expiresAt` (milliseconds since the epoch). */
export interface CreatedUpload {
  readonly mxc: Mxc;
  readonly expiresAt: number;
}

/** Reserves an id for a later upload: see {@link makeCreateUpload}. */
export type CreateUpload = (domain: Domain, userId: string) => Promise<CreatedUpload>;

/**
 * Reserves an id whose bytes come later (Client-Server API, `POST /_matrix/media/v1/create`). It is the user's alone, and
 * nobody ever gets it again.
 *
 * Errors: 429 `M_LIMIT_EXCEEDED` while as many ids of the user wait as may, with the time after which one of them will have
 * expired; 403 for a user who may store nothing more.
 */
export function makeCreateUpload(parts: CreateUploadParts): CreateUpload {
  const { db, clock } = parts;

  return async function createUpload(domain, userId) {
    await parts.quotas.admitUpload(domain, userId, 0);
    const { maxPending } = parts.quotas.of(domain, userId);
    return await db.transaction(async (tx) => {
      const now = clock();
      if (maxPending > 0) await requireRoom(tx, userId, maxPending, now);
      const mxc = await drawMediaId(domain.serverName, parts.makeMediaId, (drawn) => reserveMediaId(tx, drawn, now));
      const expiresAt = now + domain.uploads.maxAgeSeconds * 1000;
      await insertPendingUpload(tx, { ...mxc, userId, createdAt: now, expiresAt });
      return { mxc, expiresAt };
    });
  };
}

/** Under a lock: of several requests at once, each must see the ids of the others. */
async function requireRoom(tx: Queryable, userId: string, maxPending: number, now: number): Promise<void> {
  await lockUser(tx, userId);
  const { count, firstExpiresAt } = await countPendingUploads(tx, userId, now);
  if (count < maxPending) return;
  const until = firstExpiresAt ?? now;
  throw new MatrixError(
    "M_LIMIT_EXCEEDED",
    `Cannot reserve more than ${maxPending} ids at once: fill the others first`,
    {
      retryAfterMs: Math.max(1, until - now),
      extra: { limit: "uploads.maxPending", limit_subject: `user ${userId}`, limit_until: until },
    },
  );
}
