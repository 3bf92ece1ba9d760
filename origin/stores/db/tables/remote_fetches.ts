import type { Mxc } from "../../../../shared/matrix/mxc.ts";
import type { Queryable } from "../database.ts";

/** How far the clocks of two processes may differ, in milliseconds. */
const MAX_SKEW_MS = 60_000;

/**
 * Takes the turn to fetch a media until `expiresAt`, if nobody has it (any more): true. Times in milliseconds. A turn that ends later
 * than any that could be taken now is from before the time of day was set back: nobody has it.
 */
export async function takeFetch(
  db: Queryable,
  { serverName, mediaId }: Mxc,
  turn: { readonly holder: string; readonly now: number; readonly expiresAt: number },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `INSERT INTO remote_fetches AS f (server_name, media_id, holder, expires_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (server_name, media_id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
     WHERE f.expires_at <= $5 OR f.expires_at > $6`,
    [serverName, mediaId, turn.holder, turn.expiresAt, turn.now, turn.expiresAt + MAX_SKEW_MS],
  );
  return rowCount === 1;
}

/** Keeps the turn until `expiresAt`, unless another has taken it over. */
export async function renewFetch(
  db: Queryable,
  { serverName, mediaId }: Mxc,
  turn: { readonly holder: string; readonly expiresAt: number },
): Promise<void> {
  await db.query("UPDATE remote_fetches SET expires_at = $4 WHERE server_name = $1 AND media_id = $2 AND holder = $3", [
    serverName,
    mediaId,
    turn.holder,
    turn.expiresAt,
  ]);
}

/** Gives the turn back, unless another has taken it over. */
export async function endFetch(tx: Queryable, { serverName, mediaId }: Mxc, holder: string): Promise<void> {
  await tx.query("DELETE FROM remote_fetches WHERE server_name = $1 AND media_id = $2 AND holder = $3", [
    serverName,
    mediaId,
    holder,
  ]);
}

/** Clears away turns that expired before the time `before`: those of processes that died. Returns how many. */
export async function forgetFetches(db: Queryable, before: number): Promise<number> {
  const { rowCount } = await db.query("DELETE FROM remote_fetches WHERE expires_at < $1", [before]);
  return rowCount;
}
