import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Imager, type ImagerOptions, type Rendered } from "../../../../origin/imaging/imager.ts";
import type { PictureRequest } from "../../../../origin/imaging/plan_picture.ts";
import { IMAGE_TYPES, type ImageFormat } from "../../../../origin/platform/image_types.ts";
import type { ThumbnailSpec } from "../../../../shared/matrix/thumbnail_size.ts";

const OPTIONS = {
  processes: 1,
  queueLength: 20,
  clock: () => performance.now(),
  maxPixels: 20_000_000,
  maxMemoryBytes: 1_000_000_000,
};

/** What a test that draws slow things on purpose, or on a machine that is busy with other tests, lets each step take. */
const PATIENT = { cpuMs: 20_000, wallMs: 60_000 };

/** All that can be decoded. */
export const FORMATS = new Set(Object.keys(IMAGE_TYPES) as ImageFormat[]);

/** What a test asks of a picture, beside what it does not care about. */
export type Order = Partial<ThumbnailSpec> &
  Partial<Omit<PictureRequest, "spec">> & { signal?: AbortSignal; formats?: ReadonlySet<ImageFormat>; asker?: string };

/** An imager with a folder of its own, both gone when the test (or, given `{ after }` of node:test, the file) ends. */
export async function openStudio(t: { after(close: () => Promise<void>): void }, options: Partial<ImagerOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-imaging-"));
  const imager = new Imager({ ...OPTIONS, timeLimit: PATIENT, ...options });
  t.after(async () => {
    await imager.close();
    await rm(folder, { recursive: true, force: true });
  });
  let files = 0;

  /** Puts bytes into a file, whose path has no suffix as in a real store. */
  async function place(bytes: Uint8Array | string): Promise<string> {
    const path = join(folder, `source-${files++}`);
    await writeFile(path, bytes);
    return path;
  }

  /** Renders a file; without an order at 96x96 crop. */
  async function renderFile(input: string, order: Order = {}): Promise<{ rendered: Rendered; output: string }> {
    const { stillFrame = 0.5, allowAnimated = true, signal = new AbortController().signal, ...rest } = order;
    const { formats = FORMATS, asker, ...asked } = rest;
    const spec: ThumbnailSpec = { width: 96, height: 96, method: "crop", animated: false, format: "auto", ...asked };
    const output = join(folder, `output-${files++}`);
    const job = { input, outputs: [output], formats, spec, stillFrame, allowAnimated };
    return { rendered: await imager.render(job, queueEntry(asker), signal), output };
  }

  /** Reads the header of a file. */
  async function probe(path: string, signal: AbortSignal = new AbortController().signal) {
    return await imager.probe(path, FORMATS, queueEntry(), signal);
  }

  /** An entry in the queue for decoders; a requester of its own unless it is said. */
  function queueEntry(asker = `asker ${files++}`) {
    return imager.queueEntry([{ name: asker, weight: 1 }]);
  }

  /** Renders bytes, and gives back the picture that was made. */
  async function make(source: Uint8Array | string, order: Order = {}) {
    const { rendered, output } = await renderFile(await place(source), order);
    if (rendered.kind !== "image") throw new Error(`Not made: ${rendered.kind}`);
    return { ...rendered, bytes: await readFile(output) };
  }

  return { imager, folder, place, renderFile, probe, queueEntry, make };
}
