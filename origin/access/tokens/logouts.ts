import type { Credentials } from "../../../shared/matrix/access_token.ts";
import { isForbidden, isRefusal, isUnauthenticated, type MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { drain } from "../../platform/work_queue.ts";
import type { Database } from "../../stores/db/database.ts";
import {
  dueLogouts,
  forgetLogouts,
  type Logout,
  type LogoutScope,
  logoutsOfToken,
  noteLogout,
  postponeLogout,
  unfinishedLogouts,
  usersOfToken,
} from "../../stores/db/tables/logouts.ts";
import type { Revocation, Revocations } from "./revocations.ts";
import { hashToken } from "./token_judge.ts";
import type { TokenQuestions } from "./token_questions.ts";

/** A session, or all sessions of its user, that are to end. */
export interface LogoutRequest {
  readonly serverName: string;
  readonly credentials: Credentials;
  /** All sessions of the user. */
  readonly all: boolean;
  /** Whose token it is, or how the homeserver refused to say. */
  readonly whose: { readonly userId: string } | { readonly refusal: MatrixError };
  readonly clientAddress: string | undefined;
  /** Asks the homeserver to end them. Throws what the client must get. */
  readonly endSessions: () => Promise<void>;
}

/** What sessions are ended with. */
export interface LogoutsParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly revocations: Revocations;
  /** By which the homeserver is asked. */
  readonly questions: Pick<TokenQuestions, "ask">;
}

/** A homeserver that has not answered may still do what it was asked: so long it is waited before the logout is finished. */
const UNANSWERED_MS = 180_000;
const RETRY_MS = 10_000;
/** How far the clocks of two processes may differ. */
const MAX_SKEW_MS = 60_000;
const MAX_UNFINISHED = 10_000;

/**
 * Ends sessions so that no verdict on them outlives them. A logout is noted in the database before the homeserver is asked, together with the revocation of every verdict that it
 * concerns: whatever happens from then on, the edge is told. What is judged anew before the homeserver's answer is not put into
 * the edge's bucket (`settleVerdict`), and is revoked once more when the answer is here. Where none comes, or the process ends,
 * the job does that; and whoever comes again with a token that the homeserver knows no more finishes what the token had begun.
 *
 * If the homeserver refuses, the verdicts are void all the same: whoever comes next is judged anew.
 */
export class Logouts {
  readonly #parts: LogoutsParts;

  constructor(parts: LogoutsParts) {
    this.#parts = parts;
  }

  /**
   * Asks the homeserver to end sessions. When this resolves they are void at both tiers. Errors: the homeserver's; 503 before it
   * is asked where the logout cannot be noted; 503 after it where the end cannot be noted or the edge not be told yet, which the
   * jobs go on with.
   */
  async logout(request: LogoutRequest): Promise<void> {
    const { db, clock, revocations, questions } = this.#parts;
    const scope = await this.#scopeOf(request);
    let ids: readonly number[] = [];
    const keys = await revocations.note(revocationOf([scope]), async (tx) => {
      ids = await noteLogout(tx, scope, clock() + UNANSWERED_MS);
    });
    const told = outcomeOf(revocations.deliver(keys));
    const error = await outcomeOf(questions.ask({ ...request, ...scope }, request.endSessions));
    revocations.forget(revocationOf([scope]));
    // Without an answer the sessions may have ended or not.
    if (error !== undefined && !isRefusal(error)) throw error;
    if (error !== undefined && !isUnauthenticated(error)) {
      // Nothing has ended. Where the row stays, the job takes it.
      await outcomeOf(forgetLogouts(db, ids));
      throw error;
    }
    const begun = await logoutsOfToken(db, scope.tokenHash);
    const ended = await this.#finish([scope, ...begun.map(scopeOfRow)], [...ids, ...begun.map(({ id }) => id)]);
    await revocations.deliver(ended);
    const untold = await told;
    if (untold !== undefined) throw untold;
    if (error !== undefined) throw error;
  }

  /** The job: forgets, in this process, what unfinished logouts concern, and finishes those that nobody has finished in time. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { db, clock, log, revocations } = this.#parts;
    const unfinished = await unfinishedLogouts(db, MAX_UNFINISHED);
    if (unfinished.length === 0) return;
    revocations.forget(revocationOf(unfinished.map(scopeOfRow)));
    await drain(
      {
        due: (limit) => dueLogouts(db, clock(), limit, clock() + UNANSWERED_MS + MAX_SKEW_MS),
        work: async (logout: Logout) => {
          await this.#finish([scopeOfRow(logout)], [logout.id]);
          log.warn({ server: logout.serverName, user: logout.userId }, "unanswered logout finished");
        },
        retryLater: async ({ id }, error) => {
          log.warn({ error }, "logout not finished, will retry");
          await postponeLogout(db, id, clock() + RETRY_MS);
        },
      },
      signal,
    );
  }

  /** Whose sessions end. Where nobody knows, though the homeserver may let them end, those of everybody on the server count as ended. */
  async #scopeOf({ serverName, credentials, all, whose }: LogoutRequest): Promise<LogoutScope> {
    const tokenHash = hashToken(credentials.token);
    if (!all) return { serverName, tokenHash, userIds: [], ofServer: false };
    if ("userId" in whose) return { serverName, tokenHash, userIds: [whose.userId], ofServer: false };
    const userIds = await usersOfToken(this.#parts.db, serverName, tokenHash);
    return { serverName, tokenHash, userIds, ofServer: userIds.length === 0 && mayStillLogOut(whose.refusal) };
  }

  /** Revokes once more, and takes these logouts from the list. */
  async #finish(scopes: readonly LogoutScope[], ids: readonly number[]): Promise<readonly string[]> {
    return await this.#parts.revocations.note(revocationOf(scopes), (tx) => forgetLogouts(tx, ids));
  }
}

function scopeOfRow({ serverName, tokenHash, userId, ofServer }: Logout): LogoutScope {
  return { serverName, tokenHash, userIds: userId === null ? [] : [userId], ofServer };
}

function revocationOf(scopes: readonly LogoutScope[]): Revocation {
  return {
    tokenHashes: unique(scopes.map(({ tokenHash }) => tokenHash)),
    userIds: unique(scopes.flatMap(({ userIds }) => userIds)),
    serverNames: unique(scopes.filter(({ ofServer }) => ofServer).map(({ serverName }) => serverName)),
  };
}

/** What the work throws; `undefined` where it is done. */
async function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error ?? new Error("it was thrown without a reason");
  }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

/** Of an account that is locked, or a token that has expired, the homeserver says no more than that, and lets its bearer log out. */
function mayStillLogOut(refusal: MatrixError): boolean {
  return refusal.errcode === "M_USER_LOCKED" || refusal.extra.soft_logout === true || isForbidden(refusal);
}
