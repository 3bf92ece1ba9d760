import { Supervised } from "../dev/supervised.ts";
import { untilSilent } from "../dev/until_silent.ts";
import { waitUntilReady } from "../dev/wait_until_ready.ts";
import type { Say } from "../say.ts";
import type { EdgeEngine, LocalEdge } from "./edge_part.ts";

/** A path whose preflight the edge answers without the origin. */
const ANSWERED_BY_THE_EDGE = "/_matrix/media/v3/config";

/** Keeps a local edge running that answers at `url`. */
export function superviseEdge(
  url: string,
  edge: LocalEdge,
  { wrangler }: EdgeEngine,
  { say, now }: { readonly say: Say; readonly now: () => number },
): Supervised {
  const probe = `${url}${ANSWERED_BY_THE_EDGE}`;
  return new Supervised({
    ...{ name: "the edge", say, now },
    start: () => edge.start(),
    // An origin that is not there (yet) is answered with 502 by the edge itself: that is an answer, too.
    ready: (signal) => waitUntilReady(probe, signal, () => true),
    // wrangler does not notice when its workerd dies.
    ...(wrangler ? { silent: (signal: AbortSignal) => untilSilent(probe, signal) } : {}),
  });
}
