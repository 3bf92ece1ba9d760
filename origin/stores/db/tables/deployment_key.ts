import type { Queryable } from "../database.ts";

/** A secret that all processes of this database share, in 32 hexadecimal characters: drawn when it was made, never changed. */
export async function deploymentKey(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ key: string }>("SELECT key FROM deployment_key");
  return (rows[0] as { key: string }).key;
}
