import { MatrixError } from "../../../shared/matrix_error.ts";
import type { Mxc } from "../../../shared/mxc.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Queryable } from "../../stores/db/database.ts";
import { reserveMediaId } from "../../stores/db/media_ids.ts";

/** How often an id that turned out to be taken is drawn anew; with 192 random bits, once is already a wonder. */
const TRIES = 3;

/** Draws an id of `serverName` that was never issued before, and reserves it for ever in `tx`. Errors: 503 when none is found. */
export async function drawMediaId(tx: Queryable, serverName: string, makeId: MakeId, now: number): Promise<Mxc> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const mxc = { serverName, mediaId: makeId() };
    if (await reserveMediaId(tx, mxc, now)) return mxc;
  }
  throw new MatrixError("M_UNKNOWN", "Cannot find a free media id", { status: 503, retryAfterMs: 1_000 });
}
