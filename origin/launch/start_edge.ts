import { edgeUrl, originUrl } from "./addresses.ts";
import { startEdge } from "./edge_part.ts";
import { explain, LaunchError } from "./explain.ts";
import { EDGE_PORT } from "./port_trouble.ts";
import { demandPort } from "./preflight.ts";
import { type LaunchOptions, loadSettings } from "./settings.ts";
import { type BothParts, echoUntil } from "./start_both.ts";
import { aborted } from "./stop_signal.ts";
import { waitUntilReady } from "./wait_until_ready.ts";

/** What the command line says of a local edge that stands alone. */
export interface EdgeOptions extends Omit<LaunchOptions, "localEdge"> {
  /** Where the origin is, instead of what the configuration says. */
  readonly origin?: string | undefined;
}

const READY_MS = 120_000;
const STOP_MS = 3_000;

/** `npm run edge`: the edge alone, under `wrangler dev`, until it is asked to end. Resolves with the exit code. */
export async function startEdgeAlone(given: EdgeOptions, { say, makeSecret, stop }: BothParts): Promise<number> {
  try {
    const { config: asked } = await loadSettings({ ...given, localEdge: true }, makeSecret);
    const port = await demandPort("127.0.0.1", asked.edge.localPort, EDGE_PORT);
    const { config } = await loadSettings({ ...given, edgePort: port, localEdge: true }, makeSecret);
    const { hopSecret, bucket } = config.edge;
    const origin = given.origin ?? originUrl(config.repo);
    const part = await startEdge(
      { data: given.data, port, originUrl: origin, hopSecret, bucket },
      echoUntil(stop, say),
    );
    try {
      await run(part.gone, edgeUrl(port), origin, { say, stop });
      return 0;
    } finally {
      await part.stop(STOP_MS);
    }
  } catch (error) {
    if (stop.aborted) return 0;
    for (const line of explain(error)) say.warn(line);
    return 1;
  }
}

async function run(
  gone: Promise<unknown>,
  edge: string,
  origin: string,
  { say, stop }: Pick<BothParts, "say" | "stop">,
): Promise<void> {
  const died = gone.then(() => {
    throw new LaunchError("the edge has ended; what it said is above");
  });
  // An origin that is not there (yet) is answered with 502 by the edge itself: that is an answer, too.
  const any = waitUntilReady(edge, AbortSignal.any([stop, AbortSignal.timeout(READY_MS)]), () => true);
  await Promise.race([any, died]);
  say.line(`the edge answers at ${edge}, for the origin at ${origin}`);
  await Promise.race([aborted(stop), died]);
}
