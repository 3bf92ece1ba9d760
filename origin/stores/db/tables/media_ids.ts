import type { Mxc } from "../../../../shared/matrix/mxc.ts";
import type { Queryable } from "../database.ts";

/** Reserves an id for ever. False when it was ever issued before: draw another. */
export async function reserveMediaId(tx: Queryable, { serverName, mediaId }: Mxc, now: number): Promise<boolean> {
  const { rowCount } = await tx.query(
    "INSERT INTO media_ids_used (server_name, media_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    [serverName, mediaId, now],
  );
  return rowCount === 1;
}
