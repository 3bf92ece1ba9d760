import { LRUCache } from "lru-cache";
import type { SteadyClock } from "./clock.ts";

/** Something that may have a part of the places only, such as whoever asks, or whoever is asked. */
export interface Share {
  readonly name: string;
  /** It may take one more place while it has fewer than this many times the places that are free: 1 leaves it half of all, 1/3 a quarter. */
  readonly weight: number;
  /** It stands for many people, such as all of a server: what it has used lately is not held against it. */
  readonly isMany?: boolean;
}

/** On whose account work may run. It counts against each of these; the first of them stands in the line. */
export type Claim = readonly [Share, ...Share[]];

/** A place in the line for one piece of work. */
export interface Ticket {
  /** Somebody else wants the same: it runs on the account of whoever may first. */
  support(claim: Claim): void;
  /**
   * Runs the work when its turn comes. To be called once. Errors: that of `refuse`; what the work throws; the reason of `signal`
   * where that aborts before the work has begun.
   */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** How much a {@link FairQueue} does and keeps. */
export interface FairQueueOptions {
  /** Runs at the same time, at most. */
  readonly atOnce: number;
  /** Waiting beside them, at most. */
  readonly waiting: number;
  /** How long anything waits, in milliseconds. */
  readonly waitMs: number;
  /** Makes the error for work whose turn does not come: the line is full, or the time is over. */
  readonly refuse: () => Error;
  /**
   * Whoever has held places for long lately (half of it is forgotten after `halfLifeMs` milliseconds) waits behind others, and does
   * not get the last one. Absent: not counted.
   */
  readonly use?: { readonly clock: SteadyClock; readonly halfLifeMs: number };
}

interface Waiter {
  readonly name: string;
  readonly claims: ReadonlyMap<string, Claim>;
  readonly start: (claim: Claim) => void;
  readonly fail: (reason: unknown) => void;
}

/**
 * A bounded line of work in which nobody can take the places of all others. How many places anybody may have depends on how many
 * are free, so that one who is alone gets a good part of them, many share them evenly, and a few are left for the next to come.
 *
 * Of those who wait, the one who has used least of late goes first (where that is counted), then the one who has fewest places,
 * then the one who has waited longest. When the line is full, whoever has most in it, or has used most, gives way to one who has
 * less.
 */
export class FairQueue {
  readonly #options: FairQueueOptions;
  readonly #line = new Set<Waiter>();
  /** The same, by the name that stands in the line. */
  readonly #waiting = new Map<string, Set<Waiter>>();
  /** Places by the name of the share that has them. */
  readonly #taken = new Map<string, number>();
  readonly #use: RecentUse | undefined;
  #free: number;

  constructor(options: FairQueueOptions) {
    this.#options = options;
    this.#free = options.atOnce;
    this.#use = options.use && new RecentUse(options.use);
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Takes a place in the line, for work that is still to be named. */
  ticket(claim: Claim): Ticket {
    const claims = new Map([[claim[0].name, claim]]);
    return {
      support: (another) => {
        if (claims.has(another[0].name)) return;
        claims.set(another[0].name, another);
        this.#advance();
      },
      run: async (work, signal) => {
        signal?.throwIfAborted();
        const granted = this.#grant(claims) ?? (await this.#wait(claims, signal));
        const begunMs = this.#options.use?.clock() ?? 0;
        try {
          return await work();
        } finally {
          this.#count(claims, begunMs);
          this.#leave(granted);
        }
      },
    };
  }

  /** The claim by which the work runs from now on; `undefined`: by none yet. */
  #grant(claims: Waiter["claims"]): Claim | undefined {
    const claim = this.#best(claims);
    for (const { name } of claim ?? []) this.#taken.set(name, this.#has(name) + 1);
    if (claim) this.#free -= 1;
    return claim;
  }

  #leave(claim: Claim): void {
    this.#free += 1;
    for (const { name } of claim) {
      const left = this.#has(name) - 1;
      if (left > 0) this.#taken.set(name, left);
      else this.#taken.delete(name);
    }
    this.#advance();
  }

  /** All who wanted it have had it, on whosever account it ran. */
  #count(claims: Waiter["claims"], begunMs: number): void {
    const ms = Math.max(0, (this.#options.use?.clock() ?? 0) - begunMs);
    const shares = new Map([...claims.values()].flat().map((share) => [share.name, share]));
    for (const { name, isMany } of shares.values()) if (!isMany) this.#use?.add(name, ms);
  }

  #advance(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      this.#withdraw(next);
      const claim = this.#grant(next.claims);
      if (claim) next.start(claim);
    }
  }

  #next(): Waiter | undefined {
    let next: { readonly waiter: Waiter; readonly claim: Claim } | undefined;
    for (const waiter of this.#free > 0 ? this.#line : []) {
      const claim = this.#best(waiter.claims);
      if (claim && (!next || this.#hasLess(claim, next.claim))) next = { waiter, claim };
    }
    return next?.waiter;
  }

  /** Of the claims that may have a place now, the one of those who have least. */
  #best(claims: Waiter["claims"]): Claim | undefined {
    let best: Claim | undefined;
    for (const claim of claims.values()) {
      if (this.#mayStart(claim) && (!best || this.#hasLess(claim, best))) best = claim;
    }
    return best;
  }

  #mayStart(claim: Claim): boolean {
    // Of several places the last is for those who have used little: else a few together would have them all, and hold them.
    if (this.#free === 1 && this.#options.atOnce > 1 && this.#levelOf(claim) > 0) return false;
    return claim.every(({ name, weight }) => this.#has(name) < weight * this.#free);
  }

  #hasLess(one: Claim, other: Claim): boolean {
    const used = this.#levelOf(one) - this.#levelOf(other);
    if (used !== 0) return used < 0;
    for (const [at, { name }] of one.entries()) {
      const difference = this.#has(name) - this.#has(other[at]?.name ?? name);
      if (difference !== 0) return difference < 0;
    }
    return false;
  }

  /** A claim stands where the one of its shares stands that has used most. */
  #levelOf(claim: Claim): number {
    const use = this.#use;
    return use ? Math.max(...claim.map(({ name }) => use.levelOf(name))) : 0;
  }

  #has(name: string): number {
    return this.#taken.get(name) ?? 0;
  }

  #wait(claims: Waiter["claims"], signal: AbortSignal | undefined): Promise<Claim> {
    const name = claims.keys().next().value ?? "";
    if (this.#line.size >= this.#options.waiting) this.#makeRoom(name, claims);
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#withdraw(waiter);
      };
      const waiter: Waiter = {
        name,
        claims,
        start: (claim) => {
          leave();
          resolve(claim);
        },
        fail: (reason) => {
          leave();
          reject(reason);
        },
      };
      const abort = () => waiter.fail(signal?.reason);
      const timer = setTimeout(() => waiter.fail(this.#options.refuse()), this.#options.waitMs);
      signal?.addEventListener("abort", abort, { once: true });
      this.#line.add(waiter);
      const others = this.#waiting.get(name);
      if (others) others.add(waiter);
      else this.#waiting.set(name, new Set([waiter]));
    });
  }

  /**
   * Takes the last of whoever has most in the line out of it, or else of those who have used most of late. Throws where the
   * newcomer would be no better.
   */
  #makeRoom(newcomer: string, claims: Waiter["claims"]): void {
    let most: ReadonlySet<Waiter> = new Set();
    for (const waiters of this.#waiting.values()) if (waiters.size > most.size) most = waiters;
    const hasMost = most.size > (this.#waiting.get(newcomer)?.size ?? 0) + 1;
    const last = hasMost ? [...most].at(-1) : this.#lastAbove(this.#least(claims));
    if (!last) throw this.#options.refuse();
    last.fail(this.#options.refuse());
  }

  /** Of those who have used most, the last that waits; `undefined`: none has used more than `level`. */
  #lastAbove(level: number): Waiter | undefined {
    let last: Waiter | undefined;
    let most = level + 1;
    for (const waiter of this.#use ? this.#line : []) {
      const used = this.#least(waiter.claims);
      if (used >= most) [last, most] = [waiter, used];
    }
    return last;
  }

  /** The level of the claim by which it may go first. */
  #least(claims: Waiter["claims"]): number {
    return Math.min(...[...claims.values()].map((claim) => this.#levelOf(claim)));
  }

  #withdraw(waiter: Waiter): void {
    this.#line.delete(waiter);
    const others = this.#waiting.get(waiter.name);
    others?.delete(waiter);
    if (others?.size === 0) this.#waiting.delete(waiter.name);
  }
}

/** How use is remembered. Times in milliseconds. */
interface RecentUseOptions {
  readonly clock: SteadyClock;
  /** After so long half of what was used counts no more. */
  readonly halfLifeMs: number;
}

interface Used {
  readonly ms: number;
  readonly atMs: number;
}

/** Bounded: a name that is forgotten counts as one that has used nothing. */
const MAX_NAMES = 10_000;
const STEP_MS = 1_500;

/** How long anybody has held a place lately, as orders of magnitude: small differences shall not decide who goes first. */
class RecentUse {
  readonly #options: RecentUseOptions;
  readonly #used = new LRUCache<string, Used>({ max: MAX_NAMES });

  constructor(options: RecentUseOptions) {
    this.#options = options;
  }

  /** Counts `ms` milliseconds against a name. */
  add(name: string, ms: number): void {
    this.#used.set(name, { ms: this.#left(name) + ms, atMs: this.#options.clock() });
  }

  /** 0 below a second and a half, then one more whenever it has about doubled: 2 from four and a half, 3 from ten. */
  levelOf(name: string): number {
    return Math.floor(Math.log2(1 + this.#left(name) / STEP_MS));
  }

  #left(name: string): number {
    const used = this.#used.get(name);
    if (!used) return 0;
    const passedMs = Math.max(0, this.#options.clock() - used.atMs);
    return used.ms * 0.5 ** (passedMs / this.#options.halfLifeMs);
  }
}
