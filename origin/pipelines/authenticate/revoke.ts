import type { Clock } from "../../platform/clock.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { type TakenVerdict, takeVerdictsByToken, takeVerdictsByUser } from "../../stores/db/verdicts.ts";
import { bury } from "./bury.ts";
import type { TokenCache } from "./token_cache.ts";

/** What {@link makeRevoke} needs. */
export interface RevokeParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly cache: TokenCache;
  /** Tells the other processes of this origin to forget too. */
  readonly tell: (tx: Queryable, what: { tokenHash: string } | { userId: string }) => Promise<void>;
  /** Brings the outbox entries under these keys to the edge; `undefined` where there is none. */
  readonly deliver: ((keys: readonly string[]) => Promise<void>) | undefined;
}

/** Makes verdicts void everywhere: see {@link makeRevoke}. */
export interface Revoke {
  /** One token, by its hash. */
  token(tokenHash: string): Promise<void>;
  /** All tokens of one user. */
  user(userId: string): Promise<void>;
}

/**
 * Revokes verdicts after a logout: in this process at once, at the edge before this resolves (a tombstone with a newer
 * generation in place of each verdict), in other processes within the time of one notification.
 *
 * A verdict whose homeserver was asked before, and that arrives after, has the older generation and loses.
 */
export function makeRevoke({ db, clock, cache, tell, deliver }: RevokeParts): Revoke {
  async function take(what: Parameters<typeof tell>[1], from: (tx: Queryable) => Promise<TakenVerdict[]>) {
    const keys = await db.transaction(async (tx) => {
      const taken = await from(tx);
      await tell(tx, what);
      return deliver ? await bury(tx, taken, { at: clock() }) : [];
    });
    await deliver?.(keys);
  }

  return {
    async token(tokenHash) {
      cache.revokeToken(tokenHash);
      await take({ tokenHash }, (tx) => takeVerdictsByToken(tx, tokenHash));
    },
    async user(userId) {
      cache.revokeUser(userId);
      await take({ userId }, (tx) => takeVerdictsByUser(tx, userId, clock()));
    },
  };
}
