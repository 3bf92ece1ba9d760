import { Failure } from "../../../shared/matrix/failure.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { MakeId } from "../../platform/ids.ts";

/** How often an id that turned out to be taken is drawn anew; with 192 random bits, once is already a wonder. */
const TRIES = 3;

/**
 * Draws ids of `serverName` until `reserve` takes one: it says whether the id was never given out before, and gives it out.
 * Resolves with that id. Errors: 503 when none is found.
 */
export async function drawMediaId(
  serverName: string,
  makeId: MakeId,
  reserve: (mxc: Mxc) => Promise<boolean>,
): Promise<Mxc> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const mxc = { serverName, mediaId: makeId() };
    if (await reserve(mxc)) return mxc;
  }
  throw new Failure("busy", "Cannot find a free media id", { retryAfterMs: 1_000 });
}
