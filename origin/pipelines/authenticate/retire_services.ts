import type { Database } from "../../stores/db/database.ts";
import { replaceServiceTokens } from "../../stores/db/service_tokens.ts";
import { hashToken } from "./judge_token.ts";
import type { Revoke } from "./revoke.ts";

/**
 * Revokes the tokens of application services that have left the configuration, at its start and whenever it changes: the
 * edge may hold a verdict on them that is good for hours, and nobody logs an application service out.
 */
export async function retireServices(
  parts: { readonly db: Database; readonly revoke: Revoke },
  tokens: readonly string[],
): Promise<void> {
  const hashes = [...new Set(tokens.map(hashToken))];
  const retired = await parts.db.transaction((tx) => replaceServiceTokens(tx, hashes));
  for (const tokenHash of retired) await parts.revoke.token(tokenHash);
}
