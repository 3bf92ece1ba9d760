import { LRUCache } from "lru-cache";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { VerdictNote } from "../../stores/db/tables/verdicts.ts";

/** What is known of a token: whose it is. Only good news is kept; refusals and outages never. */
export interface Identity {
  userId: string;
  deviceId?: string | undefined;
  isGuest: boolean;
  /** The limits of `rateLimit` do not hold: the configuration says so of the application service. */
  isUnlimited?: boolean | undefined;
}

/** An identity, with what was noted in the database before the homeserver was asked. */
export interface JudgedIdentity extends Identity {
  /** Without it no verdict may be written. */
  note: VerdictNote | undefined;
  /** Until when this may be believed without asking again, in milliseconds since the epoch. */
  expiresAt: number;
}

/** The facts of one look-up that a revocation can name. */
export interface TokenNames {
  /** Hash of host, token, user_id and device_id. */
  key: string;
  /** Hash of the token alone. */
  tokenHash: string;
}

/** For how long an answer is remembered, and since when it was asked for. */
interface PutOptions {
  readonly begun: number;
  readonly untilMs: number;
}

interface Entry {
  readonly identity: JudgedIdentity;
  readonly tokenHash: string;
  readonly untilMs: number;
}

const MAX_TOKENS = 50_000;
const MAX_REVOCATIONS = 50_000;

/**
 * Remembers judged tokens until they expire, bounded in number. A revocation also reaches a judgement that is
 * still under way: what was begun before the revocation is not remembered after it.
 */
export class TokenCache {
  readonly #entries: LRUCache<string, Entry>;
  readonly #revoked = new LRUCache<string, number>({ max: MAX_REVOCATIONS });
  readonly #clocks: { readonly clock: Clock; readonly steady: SteadyClock };
  #moment = 0;
  #clearedAt = 0;

  constructor(clocks: { readonly clock: Clock; readonly steady: SteadyClock }) {
    this.#clocks = clocks;
    this.#entries = new LRUCache({ max: MAX_TOKENS });
  }

  /** The identity under this key, if it has not expired. */
  get(key: string): JudgedIdentity | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const leftMs = entry.untilMs - this.#clocks.steady();
    // The time of day may have been set since: the date is told anew by what is left.
    if (leftMs > 0) return { ...entry.identity, expiresAt: this.#clocks.clock() + leftMs };
    this.#entries.delete(key);
    return undefined;
  }

  /** Take this before asking the homeserver, and hand it to `put` with the answer. */
  begin(): number {
    return this.#moment;
  }

  /**
   * Remembers an answer until the time `untilMs` of the steady clock, unless its token or user was revoked since `begun`. False when it
   * was not kept for that reason.
   */
  put(names: TokenNames, identity: JudgedIdentity, { begun, untilMs }: PutOptions): boolean {
    if (this.#revokedSince(names.tokenHash, begun) || this.#revokedSince(identity.userId, begun)) return false;
    if (untilMs > this.#clocks.steady()) {
      this.#entries.set(names.key, { identity, tokenHash: names.tokenHash, untilMs });
    }
    return true;
  }

  /** Forgets every entry of this token (by its hash) and marks it for judgements under way. */
  revokeToken(tokenHash: string): void {
    this.revoke([tokenHash], []);
  }

  /** Forgets every entry of this user and marks the user for judgements under way. */
  revokeUser(userId: string): void {
    this.revoke([], [userId]);
  }

  /** The same, for many tokens and users at once. */
  revoke(tokenHashes: readonly string[], userIds: readonly string[]): void {
    const names = new Set([...tokenHashes, ...userIds]);
    if (names.size === 0) return;
    this.#moment += 1;
    for (const name of names) this.#revoked.set(name, this.#moment);
    for (const [key, { identity, tokenHash }] of this.#entries.entries()) {
      if (names.has(tokenHash) || names.has(identity.userId)) this.#entries.delete(key);
    }
  }

  /** Forgets everything, and marks every token for judgements under way: a revocation may have been missed. */
  clear(): void {
    this.#moment += 1;
    this.#clearedAt = this.#moment;
    this.#entries.clear();
  }

  #revokedSince(name: string, begun: number): boolean {
    return Math.max(this.#clearedAt, this.#revoked.get(name) ?? 0) > begun;
  }
}
