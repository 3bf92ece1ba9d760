import type { Queryable } from "./database.ts";

/**
 * Notes which application services' tokens (by hash) the configuration lists now. Returns those that it listed before and
 * does not list any more, which are forgotten.
 */
export async function replaceServiceTokens(tx: Queryable, hashes: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ token_hash: string }>(
    "DELETE FROM service_tokens WHERE token_hash <> ALL ($1) RETURNING token_hash",
    [hashes],
  );
  await tx.query("INSERT INTO service_tokens SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", [hashes]);
  return rows.map((row) => row.token_hash);
}
