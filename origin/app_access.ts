import type { Base } from "./app_base.ts";
import type { Edge } from "./app_edge.ts";
import type { Live } from "./app_live.ts";
import { type Authenticate, makeAuthenticate } from "./http/authenticate.ts";
import { limitAuthenticate, limitVerdict } from "./http/limit.ts";
import { makeJudgeToken } from "./pipelines/authenticate/judge_token.ts";
import { retireServices } from "./pipelines/authenticate/retire_services.ts";
import { makeRevoke, type Revoke, type RevokeParts } from "./pipelines/authenticate/revoke.ts";
import { TokenCache } from "./pipelines/authenticate/token_cache.ts";
import { type GiveVerdict, makeVerdict } from "./pipelines/authenticate/verdict.ts";
import type { Limits } from "./pipelines/limits/limits.ts";
import { notify } from "./stores/db/notify.ts";
import { noteVerdict } from "./stores/db/verdicts.ts";

/** The part of `app.ts` that tells who asks. */

/** Judging users' tokens, and making judgements void. */
export interface Access {
  readonly authenticate: Authenticate;
  readonly revoke: Revoke;
  /** What the edge asks; without an edge there is none. */
  readonly giveVerdict: GiveVerdict | undefined;
  /** Forgets what is remembered and voids what the edge remembers of those who left, after a change of the configuration. */
  afterChange(): Promise<void>;
}

const REVOKED_CHANNEL = "mxcdn_revoked";
/** A client waits for it. */
const VERDICT_WRITE_MS = 3_000;

/** Makes what judges tokens, and voids the verdicts of services and homeservers that have left the configuration since the last start. */
export async function makeAccess(base: Base, edge: Edge | undefined, live: Live, limits: Limits): Promise<Access> {
  const { clock, db, metrics, closers } = base;
  const cache = new TokenCache(clock);
  const judgeToken = makeJudgeToken({
    ...{ clock, cache, metrics },
    drawGeneration: ({ key, tokenHash }, { serverName, tokenTtlMs }) =>
      noteVerdict(db, { key, tokenHash, serverName, expiresAt: clock() + tokenTtlMs }),
  });
  const revoking: Omit<RevokeParts, "deliver"> = {
    ...{ db, clock, cache },
    tell: (tx, what) => notify(tx, REVOKED_CHANNEL, JSON.stringify(what)),
  };
  const revoke = makeRevoke({ ...revoking, deliver: edge && ((keys) => edge.outbox.deliver(keys)) });
  closers.push(await db.listen(REVOKED_CHANNEL, (payload) => forget(cache, payload)));

  // While we start, the edge may not be there yet: the job tells it.
  const revokeLater = makeRevoke({ ...revoking, deliver: edge && (async () => {}) });
  await retireServices({ db, revoke: revokeLater }, live.now);

  const sharedSecret = () => live.now.sharedSecret;
  const isAdmin = (userId: string) => live.now.admins.has(userId);
  return {
    authenticate: limitAuthenticate(limits, makeAuthenticate({ judgeToken, sharedSecret, isAdmin })),
    revoke,
    giveVerdict:
      edge &&
      limitVerdict(
        limits,
        makeVerdict({ ...edge, db, clock, judgeToken, metrics, sharedSecret, deadlineMs: VERDICT_WRITE_MS }),
      ),
    async afterChange() {
      cache.clear();
      await retireServices({ db, revoke }, live.now);
    },
  };
}

/** What another process has told us. */
function forget(cache: TokenCache, payload: string): void {
  const what = JSON.parse(payload) as { tokenHash?: string; userId?: string };
  if (what.tokenHash !== undefined) cache.revokeToken(what.tokenHash);
  if (what.userId !== undefined) cache.revokeUser(what.userId);
}
