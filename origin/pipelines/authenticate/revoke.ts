import type { Clock } from "../../platform/clock.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { nextGeneration } from "../../stores/db/generations.ts";
import { enqueueOutbox } from "../../stores/db/outbox.ts";
import { takeVerdictsByToken, takeVerdictsByUser, takeVerdictsOfOthers } from "../../stores/db/verdicts.ts";
import type { TokenCache } from "./token_cache.ts";

/** What {@link makeRevoke} needs. */
export interface RevokeParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly cache: TokenCache;
  /** Tells the other processes of this origin to forget too. */
  readonly tell: (tx: Queryable, what: { tokenHash: string } | { userId: string }) => Promise<void>;
  /** Brings the outbox entries under these keys to the edge. */
  readonly deliver: ((keys: readonly string[]) => Promise<void>) | undefined;
}

/** Makes verdicts void everywhere: see {@link makeRevoke}. */
export interface Revoke {
  /** One token, by its hash. */
  token(tokenHash: string): Promise<void>;
  /** All tokens of one user. */
  user(userId: string): Promise<void>;
  /** All tokens of homeservers that are not served any more. */
  allBut(serverNames: readonly string[]): Promise<void>;
}

/**
 * Revokes verdicts after a logout: in this process at once, at the edge before this resolves (a tombstone with a newer
 * generation in place of each verdict), in other processes within the time of one notification.
 *
 * A verdict whose homeserver was asked before, and that arrives after, has the older generation and loses.
 */
export function makeRevoke(parts: RevokeParts): Revoke {
  return {
    async token(tokenHash) {
      parts.cache.revokeToken(tokenHash);
      const keys = await parts.db.transaction(async (tx) => {
        const taken = await takeVerdictsByToken(tx, tokenHash);
        await parts.tell(tx, { tokenHash });
        return await bury(tx, taken);
      });
      await parts.deliver?.(keys);
    },
    async user(userId) {
      parts.cache.revokeUser(userId);
      const keys = await parts.db.transaction(async (tx) => {
        const taken = await takeVerdictsByUser(tx, userId, parts.clock());
        await parts.tell(tx, { userId });
        return await bury(tx, taken);
      });
      await parts.deliver?.(keys);
    },
    async allBut(serverNames) {
      const keys = await parts.db.transaction(async (tx) => bury(tx, await takeVerdictsOfOthers(tx, serverNames)));
      await parts.deliver?.(keys);
    },
  };

  async function bury(tx: Queryable, keys: readonly string[]): Promise<readonly string[]> {
    if (!parts.deliver) return [];
    const at = parts.clock();
    for (const key of keys) {
      const gen = await nextGeneration(tx);
      const document = { v: 1, gen, gone: true, at } as const;
      await enqueueOutbox(tx, { key, generation: gen, document, createdAt: at });
    }
    return keys;
  }
}
