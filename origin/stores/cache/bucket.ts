/**
 * A leaky bucket as a meter: what is poured in drains at a steady rate, and what would make it run over is refused. It says
 * "five requests a second, ten at once" as well as "500 MiB, of which 5 MiB are forgiven each minute".
 */
export interface BucketSize {
  /** Whoever has more than this in the bucket gets nothing more in. */
  readonly full: number;
  /** Nothing may rise beyond this, except in one go from an empty bucket: else what is larger could never be had at all. */
  readonly brim: number;
  /** How much drains in a millisecond; more than 0. */
  readonly drainPerMs: number;
}

/** Something to be poured into the bucket of this key. */
export interface Pour {
  readonly key: string;
  readonly size: BucketSize;
  readonly amount: number;
}

/** What came of it: all in, or nothing, because of the pour at `index`; worth a retry in `waitMs` milliseconds. */
export type Poured =
  | { readonly fits: true }
  | { readonly fits: false; readonly index: number; readonly waitMs: number };

/** Buckets by key. Bounded in number; those that have run empty are forgotten. */
export interface Buckets {
  /** Pours into each bucket or, where one would run over, into none. `home` decides which server counts: the same for all keys of one subject. */
  pour(home: string, pours: readonly Pour[]): Promise<Poured>;
  /** Corrects a bucket by an amount, which may be negative; it is never refused, and nothing sinks below 0. */
  correct(home: string, pour: Pour): Promise<void>;
}

/** How much was in a bucket at a time. */
export interface Level {
  readonly amount: number;
  readonly atMs: number;
}

/** So little is in no bucket and too much for none: sums of fractions are not exact. */
const GRAIN = 1e-6;

/** What is left in a bucket now. */
export function drained(last: Level | undefined, drainPerMs: number, nowMs: number): number {
  if (!last) return 0;
  const left = last.amount - Math.max(0, nowMs - last.atMs) * drainPerMs;
  return left > GRAIN ? left : 0;
}

/** How many milliseconds until this amount may be poured into a bucket that holds `held`; 0 if it may now. */
export function waitFor(held: number, amount: number, size: BucketSize): number {
  const most = Math.max(0, Math.min(size.full, size.brim - amount));
  return held <= most + GRAIN ? 0 : (held - most) / size.drainPerMs;
}
