import type { Clock } from "../../platform/clock.ts";
import { enqueueTombstones } from "../../publish/tombstones.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { takeVerdictsByServer, takeVerdictsByToken, takeVerdictsByUser } from "../../stores/db/tables/verdicts.ts";
import type { TokenCache } from "./token_cache.ts";

/** What is told to the other processes of this origin: forget what is remembered of one token, one user, or a whole homeserver. */
export type Revoked = { readonly tokenHash: string } | { readonly userId: string } | { readonly serverName: string };

/** Verdicts to be made void: all on these tokens (by their hashes), of these users, and of these homeservers. */
export interface Revocation {
  readonly tokenHashes?: readonly string[];
  readonly userIds?: readonly string[];
  readonly serverNames?: readonly string[];
}

/** What {@link makeRevoke} needs. */
export interface RevokeParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly cache: TokenCache;
  /** Tells the other processes of this origin to forget too. */
  readonly tell: (tx: Queryable, what: Revoked) => Promise<void>;
  /** Brings the outbox entries under these keys to the edge; `undefined` where there is none. */
  readonly deliver: ((keys: readonly string[]) => Promise<void>) | undefined;
}

/** Makes verdicts void everywhere: see {@link makeRevoke}. */
export interface Revoke {
  /**
   * Makes verdicts void in one transaction with what `together` does: in this process at once, in others within the time of one
   * notification. Returns the keys for {@link Revoke.deliver}; without it the job of the outbox tells the edge.
   */
  note(what: Revocation, together: (tx: Queryable) => Promise<unknown>): Promise<readonly string[]>;
  /** Resolves when the edge's bucket has confirmed that these are void. Errors: 503 where it does not; the job goes on. */
  deliver(keys: readonly string[]): Promise<void>;
  /** Forgets, in this process only, what is remembered of these. */
  forget(what: Revocation): void;
}

/**
 * Revokes verdicts after a logout: a tombstone with a newer generation takes the place of each at the edge.
 *
 * A verdict whose homeserver was asked before, and that arrives after, has the older generation and loses.
 */
export function makeRevoke({ db, clock, cache, tell, deliver }: RevokeParts): Revoke {
  const forget: Revoke["forget"] = ({ tokenHashes = [], userIds = [], serverNames = [] }) => {
    if (serverNames.length > 0) cache.clear();
    else cache.revoke(tokenHashes, userIds);
  };

  async function take(tx: Queryable, what: Revocation): Promise<string[]> {
    const { tokenHashes = [], userIds = [], serverNames = [] } = what;
    const at = clock();
    // Users first, in one order for all: each is locked until the end.
    const ofUsers = await each([...userIds].sort(), (userId) => takeVerdictsByUser(tx, userId, at));
    const ofTokens = await each(tokenHashes, (tokenHash) => takeVerdictsByToken(tx, tokenHash));
    const ofServers = await each(serverNames, (serverName) => takeVerdictsByServer(tx, serverName));
    for (const tokenHash of tokenHashes) await tell(tx, { tokenHash });
    for (const userId of userIds) await tell(tx, { userId });
    for (const serverName of serverNames) await tell(tx, { serverName });
    if (!deliver) return [];
    await enqueueTombstones(tx, ofServers, { at, bulk: true });
    return await enqueueTombstones(tx, [...ofUsers, ...ofTokens], { at });
  }

  return {
    forget,
    async note(what, together) {
      forget(what);
      return await db.transaction(async (tx) => {
        const keys = await take(tx, what);
        await together(tx);
        return keys;
      });
    },
    async deliver(keys) {
      await deliver?.(keys);
    },
  };
}

async function each<T, R>(all: readonly T[], work: (one: T) => Promise<readonly R[]>): Promise<R[]> {
  const found: R[] = [];
  for (const one of all) found.push(...(await work(one)));
  return found;
}
