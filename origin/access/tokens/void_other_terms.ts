import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { enqueueTombstones } from "../../publish/tombstones.ts";
import type { Database } from "../../stores/db/database.ts";
import { takeVerdictsOfOtherTerms } from "../../stores/db/tables/verdicts.ts";
import type { TokenDomain } from "./judge_token.ts";

/** What {@link makeVoidOtherTerms} needs. */
export interface VoidOtherTermsParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Brings the outbox entries under these keys to the edge; `undefined` where there is none. */
  readonly deliver: ((keys: readonly string[]) => Promise<void>) | undefined;
}

/** Voids verdicts: see {@link makeVoidOtherTerms}. */
export type VoidOtherTerms = (inForce: readonly Pick<TokenDomain, "serverName" | "terms">[]) => Promise<void>;

const PAGE = 1_000;
/** Verdicts brought to the edge at a time. */
const LANES = 8;

/**
 * Voids every verdict that was given under other terms than those of these homeservers, or on a token of none of them: the
 * edge may hold one for hours, and nobody logs out when the configuration changes. To be called at start, for what has changed
 * meanwhile, and after each change, by every process: it may have written some until it noticed the change.
 *
 * Resolves when all are noted as void, and the edge has been told; what its store does not confirm, the job tells it.
 */
export function makeVoidOtherTerms(parts: VoidOtherTermsParts): VoidOtherTerms {
  const { db, clock, log, deliver } = parts;

  async function voidPage(inForce: Parameters<VoidOtherTerms>[0]): Promise<{ keys: string[]; more: boolean }> {
    return await db.transaction(async (tx) => {
      const taken = await takeVerdictsOfOtherTerms(tx, inForce, PAGE);
      const keys = deliver ? await enqueueTombstones(tx, taken, { at: clock(), bulk: true }) : [];
      return { keys, more: taken.length === PAGE };
    });
  }

  return async function voidOtherTerms(inForce) {
    const keys: string[] = [];
    for (let more = true; more; ) {
      const page = await voidPage(inForce);
      keys.push(...page.keys);
      more = page.more;
    }
    if (keys.length === 0) return;
    log.info({ verdicts: keys.length }, "voided verdicts that were given by another configuration");
    const lanes = Array.from({ length: LANES }, (_, lane) => keys.filter((_key, index) => index % LANES === lane));
    await Promise.all(lanes.map((lane) => deliver?.(lane))).catch((error: unknown) => {
      log.warn({ error }, "the edge could not be told yet of verdicts that are void");
    });
  };
}
