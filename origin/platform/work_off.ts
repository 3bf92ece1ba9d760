/** Work that lies on a list somewhere else, such as a table. */
export interface WorkList<T> {
  /** Up to `limit` pieces that are due now, the most urgent first. */
  readonly due: (limit: number) => Promise<readonly T[]>;
  /** Does one piece and takes it from the list. */
  readonly work: (piece: T, signal: AbortSignal) => Promise<void>;
  /** Called when `work` has failed: lets the piece wait, so that it is not due again at once. */
  readonly postpone: (piece: T, error: unknown) => Promise<void>;
}

/** Small, so that what is urgent and comes later is seen soon. */
const PAGE = 40;
const AT_ONCE = 8;

/**
 * Works off a list, a few pieces at once, until nothing is due any more or `signal` aborts. One that fails keeps no other from
 * its turn; where all of many fail, the rest is left to the next time. Returns how many were done.
 */
export async function workOff<T>(list: WorkList<T>, signal: AbortSignal): Promise<number> {
  let done = 0;
  for (;;) {
    const page = await list.due(PAGE);
    const before = done;
    // One iterator for all workers, who take turns.
    const left = page.values();
    const worker = async () => {
      for (const piece of left) if (!signal.aborted && (await attempt(list, piece, signal))) done += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (signal.aborted || page.length < PAGE || done === before) return done;
  }
}

async function attempt<T>(list: WorkList<T>, piece: T, signal: AbortSignal): Promise<boolean> {
  try {
    await list.work(piece, signal);
    return true;
  } catch (error) {
    // What was broken off is no failure: it is due at once when somebody works again.
    if (!signal.aborted) await list.postpone(piece, error);
    return false;
  }
}
