// A program for tests: it makes an imager that draws something for seconds, tells the ids of its decoders, and waits to be killed.
import { Imager } from "../../../../origin/imaging/imager.ts";
import { FORMATS } from "./studio.ts";
import { untilDrawing } from "./until_drawing.ts";

const [input = "", output = ""] = process.argv.slice(2);
const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
const imager = new Imager({
  ...{ processes: 1, queueLength: 1, maxPixels: 1e7, maxMemoryBytes: 1e9, clock: Date.now },
  timeLimit: { cpuMs: 60_000, wallMs: 60_000 },
});
await imager.warmUp();
const job = { input, outputs: [output], formats: FORMATS, spec, stillFrame: 0, allowAnimated: true };
void imager.render(job, imager.queueEntry([{ name: "asker", weight: 1 }]), new AbortController().signal);
await untilDrawing(imager.pids[0] ?? -1);
process.send?.(imager.pids);
// What draws must not be all that keeps it.
setInterval(() => undefined, 60_000);
