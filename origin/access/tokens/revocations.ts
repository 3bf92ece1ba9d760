import * as z from "zod";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { enqueueTombstones } from "../../publish/tombstones.ts";
import { type Bus, jsonChannel } from "../../stores/db/bus.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import {
  takeVerdictsByServer,
  takeVerdictsByToken,
  takeVerdictsByUser,
  takeVerdictsOfOtherTerms,
} from "../../stores/db/tables/verdicts.ts";
import type { TokenCache } from "./token_cache.ts";
import type { TokenDomain } from "./token_judge.ts";

/** Verdicts to be made void: all on these tokens (by their hashes), of these users, and of these homeservers. */
export interface Revocation {
  readonly tokenHashes?: readonly string[];
  readonly userIds?: readonly string[];
  readonly serverNames?: readonly string[];
}

/** What verdicts are revoked with. */
export interface RevocationsParts {
  readonly db: Database;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  readonly cache: TokenCache;
  /** Brings the outbox entries under these keys to the edge; `undefined` where there is none. */
  readonly deliver: ((keys: readonly string[]) => Promise<void>) | undefined;
}

/** What the other processes of this origin are to forget: a token by its hash, a user with all tokens, or everybody of a server. */
const REVOKED = jsonChannel(
  "mxcdn_revoked",
  z.union([
    z.object({ tokenHash: z.string() }),
    z.object({ userId: z.string() }),
    z.object({ serverName: z.string() }),
  ]),
);
const PAGE = 1_000;
/** Verdicts brought to the edge at a time. */
const AT_ONCE = 8;

/**
 * Makes verdicts void everywhere, after a logout or a change of the configuration: a tombstone with a newer generation takes the place
 * of each at the edge. A verdict whose homeserver was asked before, and that arrives after, has the older generation and loses.
 */
export class Revocations {
  readonly #parts: RevocationsParts;

  constructor(parts: RevocationsParts) {
    this.#parts = parts;
  }

  /** Forgets what other processes revoke, until the returned function is called. */
  async listen(): Promise<() => Promise<void>> {
    const { bus, cache } = this.#parts;
    return await bus.listen(REVOKED, {
      onNews(revoked) {
        if ("tokenHash" in revoked) cache.revokeToken(revoked.tokenHash);
        else if ("userId" in revoked) cache.revokeUser(revoked.userId);
        else cache.clear();
      },
      onReconnect: () => cache.clear(),
    });
  }

  /** Forgets, in this process only, what is remembered of these. */
  forget({ tokenHashes = [], userIds = [], serverNames = [] }: Revocation): void {
    if (serverNames.length > 0) this.#parts.cache.clear();
    else this.#parts.cache.revoke(tokenHashes, userIds);
  }

  /**
   * Makes verdicts void in one transaction with what `together` does: in this process at once, in others within the time of one
   * notification. Returns the keys for {@link Revocations.deliver}; without it the job of the outbox tells the edge.
   */
  async note(what: Revocation, together: (tx: Queryable) => Promise<unknown>): Promise<readonly string[]> {
    this.forget(what);
    return await this.#parts.db.transaction(async (tx) => {
      const keys = await this.#take(tx, what);
      await together(tx);
      return keys;
    });
  }

  /** Resolves when the edge's bucket has confirmed that these are void. Errors: 503 where it does not; the job goes on. */
  async deliver(keys: readonly string[]): Promise<void> {
    await this.#parts.deliver?.(keys);
  }

  /**
   * Makes every verdict void that was given under another policy than those of these homeservers, or on a token of none of them: the
   * edge may hold one for hours, and nobody logs out when the configuration changes. To be called at start, for what has changed
   * meanwhile, and after each change, by every process: it may have written some until it noticed the change.
   *
   * Resolves when all are noted as void and, with `deliver`, the edge has been told; what its store does not confirm, the job tells it.
   */
  async revokeStale(inForce: readonly TokenDomain[], { deliver }: { readonly deliver: boolean }): Promise<void> {
    const { log } = this.#parts;
    const policies = inForce.map(({ serverName, authPolicyHash }) => ({ serverName, terms: authPolicyHash }));
    const keys: string[] = [];
    for (let more = true; more; ) {
      const page = await this.#takeStale(policies);
      keys.push(...page.keys);
      more = page.more;
    }
    if (keys.length === 0) return;
    log.info({ verdicts: keys.length }, "verdicts of another configuration revoked");
    if (!deliver) return;
    const shares = Array.from({ length: AT_ONCE }, (_, share) => keys.filter((_key, at) => at % AT_ONCE === share));
    await Promise.all(shares.map((share) => this.deliver(share))).catch((error: unknown) => {
      log.warn({ error }, "edge outbox delivery of revoked verdicts failed, will retry");
    });
  }

  async #takeStale(policies: readonly { serverName: string; terms: string }[]) {
    const { db, clock, deliver } = this.#parts;
    return await db.transaction(async (tx) => {
      const taken = await takeVerdictsOfOtherTerms(tx, policies, PAGE);
      const keys = deliver ? await enqueueTombstones(tx, taken, { at: clock(), bulk: true }) : [];
      return { keys, more: taken.length === PAGE };
    });
  }

  async #take(tx: Queryable, what: Revocation): Promise<string[]> {
    const { bus, clock, deliver } = this.#parts;
    const { tokenHashes = [], userIds = [], serverNames = [] } = what;
    const at = clock();
    // Users first, in one order for all: each is locked until the end.
    const ofUsers = await each([...userIds].sort(), (userId) => takeVerdictsByUser(tx, userId, at));
    const ofTokens = await each(tokenHashes, (tokenHash) => takeVerdictsByToken(tx, tokenHash));
    const ofServers = await each(serverNames, (serverName) => takeVerdictsByServer(tx, serverName));
    for (const tokenHash of tokenHashes) await bus.send(REVOKED, { tokenHash }, tx);
    for (const userId of userIds) await bus.send(REVOKED, { userId }, tx);
    for (const serverName of serverNames) await bus.send(REVOKED, { serverName }, tx);
    if (!deliver) return [];
    await enqueueTombstones(tx, ofServers, { at, bulk: true });
    return await enqueueTombstones(tx, [...ofUsers, ...ofTokens], { at });
  }
}

async function each<T, R>(all: readonly T[], work: (one: T) => Promise<readonly R[]>): Promise<R[]> {
  const found: R[] = [];
  for (const one of all) found.push(...(await work(one)));
  return found;
}
