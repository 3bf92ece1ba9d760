import { type BothOptions, echoUntil } from "../dev/start_both.ts";
import { edgeUrl, originUrl } from "../dev/tier_health.ts";
import type { ServiceContext } from "../program.ts";
import { loadSettings } from "../settings.ts";
import { EDGE_PORT } from "../trouble/local_trouble.ts";
import { requirePort } from "../trouble/preflight.ts";
import { untilStopped } from "../until_stopped.ts";
import { openLocalEdge, superviseEdge } from "./local_edge.ts";

/** `npm run edge`: a local edge alone, for an origin that runs elsewhere. */

/** What the command line says of a local edge that stands alone. */
export interface EdgeOptions extends Omit<BothOptions, "workers"> {
  /** Where the origin is, instead of what the configuration says. */
  readonly origin?: string | undefined;
}

const STOP_MS = 3_000;

/** `npm run edge`: the edge alone, started again when it ends, until it is asked to end. Resolves with the exit code. */
export async function startEdgeAlone(given: EdgeOptions, context: ServiceContext): Promise<number> {
  const { output, stop } = context;
  return await untilStopped(context, async (closers) => {
    const { config: asked } = await loadSettings({ ...given, localEdge: true });
    const port = await requirePort("127.0.0.1", asked.edge.localPort, EDGE_PORT);
    const { config } = await loadSettings({ ...given, edgePort: port, localEdge: true });
    const { hopSecret, bucket } = config.edge;
    const origin = given.origin ?? originUrl(config.repo);
    const settings = { data: given.data, port, originUrl: origin, hopSecret, bucket };
    const folder = await openLocalEdge(settings, given.engine, echoUntil(stop, output));
    closers.push(() => folder.release());
    const edge = superviseEdge(edgeUrl(port), folder, given.engine, context);
    closers.push(() => edge.stop(STOP_MS));
    await edge.begin(stop);
    output.line(`the edge answers at ${edgeUrl(port)}, for the origin at ${origin}`);
    await edge.keep(stop);
  });
}
