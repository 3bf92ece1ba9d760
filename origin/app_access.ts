import * as z from "zod";
import type { Limits } from "./access/limits/limits.ts";
import { makeJudgeToken } from "./access/tokens/judge_token.ts";
import { type Logouts, makeLogouts } from "./access/tokens/logout.ts";
import { makeRevoke } from "./access/tokens/revoke.ts";
import { TokenCache } from "./access/tokens/token_cache.ts";
import { TokenLines } from "./access/tokens/token_lines.ts";
import { type GiveVerdict, makeVerdict } from "./access/tokens/verdict.ts";
import { makeVoidOtherTerms } from "./access/tokens/void_other_terms.ts";
import type { Base } from "./app_base.ts";
import type { Edge } from "./app_edge.ts";
import type { Live } from "./app_live.ts";
import { type Authenticate, makeAuthenticate } from "./http/authenticate.ts";
import { countingFailures } from "./http/limit.ts";
import { jsonChannel } from "./stores/db/bus.ts";
import { noteVerdict, takeBackVerdict } from "./stores/db/tables/verdicts.ts";

/** The part of `app.ts` that tells who asks. */

/** Judging users' tokens, and making judgements void. */
export interface Access {
  readonly authenticate: Authenticate;
  readonly logouts: Logouts;
  /** In which homeservers are asked with tokens. */
  readonly lines: TokenLines;
  /** What the edge asks; without an edge there is none. */
  readonly giveVerdict: GiveVerdict | undefined;
  /** Forgets what is remembered, and voids what the edge remembers under other terms, after a change of the configuration. */
  afterChange(): Promise<void>;
}

/** Who is to be forgotten: a token by its hash, a user with all tokens, or everybody of a server. */
const REVOKED = jsonChannel(
  "mxcdn_revoked",
  z.union([
    z.object({ tokenHash: z.string() }),
    z.object({ userId: z.string() }),
    z.object({ serverName: z.string() }),
  ]),
);
/** A client waits for it. */
const VERDICT_WRITE_MS = 3_000;

/** A verdict that was noted and not settled by then is forgotten, in milliseconds: homeservers are not waited for so long. */
const UNSETTLED_MS = 60_000;

/** Makes what judges tokens, and voids the verdicts of which the configuration says something else than when they were given. */
export async function makeAccess(base: Base, edge: Edge | undefined, live: Live, limits: Limits): Promise<Access> {
  const { clock, steady, db, log, metrics, closers } = base;
  const cache = new TokenCache({ clock, steady });
  const lines = new TokenLines({ clock: steady, checkFailures: (address) => limits.checkFailures(address) });
  const judgeToken = makeJudgeToken({
    ...{ clock, steady, cache, metrics, lines },
    note: (names, { serverName, terms }) =>
      noteVerdict(db, { ...names, serverName, terms, expiresAt: clock() + UNSETTLED_MS }),
    takeBack: (note) => takeBackVerdict(db, note),
  });
  const deliver = edge && ((keys: readonly string[]) => edge.outbox.deliver(keys));
  const revoke = makeRevoke({
    ...{ db, clock, cache, deliver },
    tell: (tx, what) => base.bus.send(REVOKED, what, tx),
  });
  closers.push(
    await base.bus.listen(REVOKED, {
      onNews(who) {
        if ("tokenHash" in who) cache.revokeToken(who.tokenHash);
        else if ("userId" in who) cache.revokeUser(who.userId);
        else cache.clear();
      },
      onReconnect: () => cache.clear(),
    }),
  );

  // While we start, the edge may not be there yet: the job tells it.
  const atStart = makeVoidOtherTerms({ db, clock, log, deliver: edge && (async () => {}) });
  await atStart([...live.now.tenants.values()]);
  const voidOtherTerms = makeVoidOtherTerms({ db, clock, log, deliver });

  const sharedSecret = () => live.now.sharedSecret;
  const isAdmin = (userId: string) => live.now.admins.has(userId);
  const giveVerdict =
    edge &&
    makeVerdict({
      ...{ ...edge, db, clock, steady, judgeToken, metrics, sharedSecret },
      forget: (tokenHash) => cache.revokeToken(tokenHash),
      isInForce: ({ serverName, terms }) => live.now.tenants.get(serverName)?.terms === terms,
      deadlineMs: VERDICT_WRITE_MS,
    });
  return {
    authenticate: makeAuthenticate({ judgeToken, sharedSecret, isAdmin }),
    logouts: makeLogouts({ db, clock, log, revoke, lines }),
    lines,
    // Who is judged good is counted when the edge comes for more.
    giveVerdict:
      giveVerdict &&
      ((domain, credentials, from) =>
        countingFailures(limits, from.clientAddress, giveVerdict(domain, credentials, from))),
    async afterChange() {
      cache.clear();
      await voidOtherTerms([...live.now.tenants.values()]);
    },
  };
}
