import type { Mxc } from "../../../../shared/matrix/mxc.ts";
import type { Queryable } from "../database.ts";

/** Notes that these media were read on `day` (whole days since the epoch). One statement for many downloads. */
export async function recordAccess(db: Queryable, read: readonly Mxc[], day: number): Promise<void> {
  // Locked in one order first: two batches of the same media, updated as they come, would deadlock.
  await db.query(
    `WITH stale AS MATERIALIZED (
       SELECT server_name, media_id FROM media
       WHERE (server_name, media_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND last_access_day < $3
       ORDER BY server_name, media_id FOR NO KEY UPDATE
     )
     UPDATE media m SET last_access_day = $3 FROM stale
     WHERE m.server_name = stale.server_name AND m.media_id = stale.media_id`,
    [read.map((mxc) => mxc.serverName), read.map((mxc) => mxc.mediaId), day],
  );
}
