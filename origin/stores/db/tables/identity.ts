import type { Queryable } from "../database.ts";

/** Who this database is, in 32 lower-case hexadecimal characters: drawn at random when it was made, and never changed. */
export async function databaseId(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ id: string }>("SELECT id FROM identity");
  return (rows[0] as { id: string }).id;
}
