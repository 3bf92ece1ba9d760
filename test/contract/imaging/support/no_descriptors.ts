// A program for tests: it uses up its descriptors, asks for a picture, gives them back, asks again, and tells what came of both.
import { closeSync, openSync } from "node:fs";
import { Imager } from "../../../../origin/imaging/imager.ts";
import { Failure } from "../../../../shared/matrix/failure.ts";
import { FORMATS } from "./studio.ts";

const [input = "", output = ""] = process.argv.slice(2);
const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
const imager = new Imager({ processes: 1, queueLength: 1, maxPixels: 1e7, maxMemoryBytes: 1e9, clock: Date.now });

/** Leaves enough for reading the source, and too few for a process with its pipes. */
const KEPT = 3;

const held: number[] = [];
for (;;) {
  try {
    held.push(openSync("/dev/null", "r"));
  } catch {
    break;
  }
}
for (const descriptor of held.splice(0, KEPT)) closeSync(descriptor);
const first = await ask();
for (const descriptor of held) closeSync(descriptor);
const second = await ask();
await imager.close();
process.stdout.write(JSON.stringify([first, second]));

async function ask(): Promise<string> {
  const job = { input, outputs: [output], formats: FORMATS, spec, stillFrame: 0, allowAnimated: true };
  try {
    return (await imager.render(job, imager.queueEntry([{ name: "asker", weight: 1 }]), AbortSignal.timeout(60_000)))
      .kind;
  } catch (error) {
    return error instanceof Failure ? error.kind : String(error);
  }
}
