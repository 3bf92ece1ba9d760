import type { Queryable } from "../database.ts";

/**
 * Draws the next generation: larger than all drawn before, by whichever process. What it is drawn for must be held (its row
 * locked or inserted) or, for a verdict, not asked for yet: only then is the larger generation the later truth.
 */
export async function nextGeneration(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ generation: number }>("SELECT nextval('generations') AS generation");
  return (rows[0] as { generation: number }).generation;
}
