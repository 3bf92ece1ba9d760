import type { Queryable } from "../database.ts";

/** What a user keeps here, counted as if nothing were deduplicated. */
export interface Usage {
  readonly bytes: number;
  readonly files: number;
}

/** The usage of one user. Kept by the triggers of `migrations/0001_schema.sql`. */
export async function findUsage(db: Queryable, userId: string): Promise<Usage> {
  const { rows } = await db.query<Usage>("SELECT bytes, files FROM user_usage WHERE user_id = $1", [userId]);
  return rows[0] ?? { bytes: 0, files: 0 };
}
