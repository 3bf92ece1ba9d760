/** What the edge has read of somebody or something it may believe for so long, in milliseconds. */
const EDGE_MS = 2_000;
/** The runtime of the edge reads its clock once each time it is woken: on a busy machine what comes then is judged by a time that has passed. */
const CLOCK_LAG_MS = 250;

/**
 * Asks until the answer is no 200 any more, and returns it. What was asked before may still be shown to whoever asks within
 * `withinMs` of this call, which is made when the revocation is confirmed; how long an answer takes does not count.
 */
export async function untilRevoked<T extends { readonly status: number }>(
  ask: () => Promise<T>,
  withinMs = EDGE_MS,
): Promise<T> {
  const confirmed = Date.now();
  for (;;) {
    const askedAfter = Date.now() - confirmed;
    const heard = await ask();
    if (heard.status !== 200) return heard;
    if (askedAfter > withinMs + CLOCK_LAG_MS)
      throw new Error(`still 200 for who asked ${askedAfter} ms after the revocation`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Waits until the edge believes nothing any more that it has read before, in real time: for races, in which somebody who is late
 * must have had the time to be. Elsewhere the time passes at once (`forget` of the edge).
 */
export function untilEdgeForgets(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, EDGE_MS + 50));
}
