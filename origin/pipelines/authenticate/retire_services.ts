import type { Database } from "../../stores/db/database.ts";
import { replaceServiceTokens } from "../../stores/db/service_tokens.ts";
import { hashToken } from "./judge_token.ts";
import type { Revoke } from "./revoke.ts";

/** Who is in the configuration. */
export interface Served {
  readonly serverNames: readonly string[];
  /** The tokens of its application services. */
  readonly serviceTokens: readonly string[];
}

/**
 * Revokes the tokens of application services and homeservers that have left the configuration, at its start and whenever it
 * changes: the edge may hold a verdict on them that is good for hours, and nobody logs an application service out.
 */
export async function retireServices(
  parts: { readonly db: Database; readonly revoke: Revoke },
  { serverNames, serviceTokens }: Served,
): Promise<void> {
  await parts.revoke.allBut(serverNames);
  const hashes = [...new Set(serviceTokens.map(hashToken))];
  const retired = await parts.db.transaction((tx) => replaceServiceTokens(tx, hashes));
  for (const tokenHash of retired) await parts.revoke.token(tokenHash);
}
