import type { Queryable } from "../database.ts";

/**
 * Which process does a thing that all could do: fetches a media of another server, say. A lease spares the others the work;
 * correctness never rests on it. The holder renews it while it works, so that the lease of a process that has died ends by
 * itself. Times in milliseconds since the epoch.
 */

/** How far the clocks of two processes may differ. */
const MAX_SKEW_MS = 60_000;

/** A lease to be taken or kept: what is to be done, by whom, until when. */
export interface LeaseTerm {
  readonly name: string;
  readonly holder: string;
  readonly until: number;
}

/**
 * Takes a lease, if nobody holds it: true. One that ends later than any that could be taken now dates from before the clock was
 * set back: nobody holds it.
 */
export async function acquireLease(
  db: Queryable,
  { name, holder, until, now }: LeaseTerm & { readonly now: number },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `INSERT INTO leases AS l (name, holder, until) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
     WHERE l.until <= $4 OR l.until > $5`,
    [name, holder, until, now, until + MAX_SKEW_MS],
  );
  return rowCount === 1;
}

/** Keeps a lease; false when another has taken it over. */
export async function renewLease(db: Queryable, { name, holder, until }: LeaseTerm): Promise<boolean> {
  const { rowCount } = await db.query("UPDATE leases SET until = $3 WHERE name = $1 AND holder = $2", [
    name,
    holder,
    until,
  ]);
  return rowCount === 1;
}

/** Gives a lease back, unless another has taken it over. */
export async function releaseLease(db: Queryable, { name, holder }: Omit<LeaseTerm, "until">): Promise<void> {
  await db.query("DELETE FROM leases WHERE name = $1 AND holder = $2", [name, holder]);
}

/** Deletes leases that ended before this time: those of processes that died. Returns how many. */
export async function deleteLeases(db: Queryable, endedBefore: number): Promise<number> {
  const { rowCount } = await db.query("DELETE FROM leases WHERE until < $1", [endedBefore]);
  return rowCount;
}
