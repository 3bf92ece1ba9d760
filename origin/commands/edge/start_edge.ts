import { edgeUrl, originUrl } from "../dev/addresses.ts";
import { type BothOptions, type BothParts, echoUntil } from "../dev/start_both.ts";
import { loadSettings } from "../settings.ts";
import { explain } from "../trouble/explain.ts";
import { EDGE_PORT } from "../trouble/port_trouble.ts";
import { demandPort } from "../trouble/preflight.ts";
import { openLocalEdge } from "./edge_part.ts";
import { superviseEdge } from "./supervise_edge.ts";

/** What the command line says of a local edge that stands alone. */
export interface EdgeOptions extends Omit<BothOptions, "workers"> {
  /** Where the origin is, instead of what the configuration says. */
  readonly origin?: string | undefined;
}

const STOP_MS = 3_000;

/** `npm run edge`: the edge alone, started again when it ends, until it is asked to end. Resolves with the exit code. */
export async function startEdgeAlone(given: EdgeOptions, parts: BothParts): Promise<number> {
  const { say, makeSecret, stop } = parts;
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const { config: asked } = await loadSettings({ ...given, localEdge: true }, makeSecret);
    const port = await demandPort("127.0.0.1", asked.edge.localPort, EDGE_PORT);
    const { config } = await loadSettings({ ...given, edgePort: port, localEdge: true }, makeSecret);
    const { hopSecret, bucket } = config.edge;
    const origin = given.origin ?? originUrl(config.repo);
    const settings = { data: given.data, port, originUrl: origin, hopSecret, bucket };
    const folder = await openLocalEdge(settings, given.engine, echoUntil(stop, say));
    closers.push(() => folder.release());
    const edge = superviseEdge(edgeUrl(port), folder, given.engine, parts);
    closers.push(() => edge.stop(STOP_MS));
    await edge.begin(stop);
    say.line(`the edge answers at ${edgeUrl(port)}, for the origin at ${origin}`);
    await edge.keep(stop);
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    for (const line of explain(error)) say.warn(line);
    return 1;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}
