import { LRUCache } from "lru-cache";
import type { SteadyClock } from "./clock.ts";

/** What {@link RecentUse} needs. Times in milliseconds. */
export interface RecentUseOptions {
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
export class RecentUse {
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
