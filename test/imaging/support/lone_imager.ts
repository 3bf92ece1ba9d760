// A program for tests: it makes an imager that draws something for seconds, tells the ids of its decoders, and waits to be killed.
import { makeImager } from "../../../origin/imaging/imager.ts";

const [input = "", output = ""] = process.argv.slice(2);
const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
const imager = makeImager({ processes: 1, queueLength: 1, timeoutMs: 60_000, maxPixels: 1e7, maxMemoryBytes: 1e9 });
await imager.warmUp();
void imager.render({ input, output, spec, stillFrame: 0, allowAnimated: true }, new AbortController().signal);
setTimeout(() => process.send?.(imager.pids), 200);
