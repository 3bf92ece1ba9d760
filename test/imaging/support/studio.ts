import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImagerOptions, makeImager, type Rendered } from "../../../origin/imaging/imager.ts";
import type { Wish } from "../../../origin/imaging/plan_picture.ts";
import type { ThumbnailSpec } from "../../../shared/thumbnail_size.ts";

const OPTIONS = {
  processes: 1,
  queueLength: 20,
  timeoutMs: 20_000,
  maxPixels: 20_000_000,
  maxMemoryBytes: 1_000_000_000,
};

/** What a test asks of a picture, beside what it does not care about. */
export type Order = Partial<ThumbnailSpec> & Partial<Omit<Wish, "spec">> & { signal?: AbortSignal };

/** An imager with a folder of its own, both gone when the test (or, given `{ after }` of node:test, the file) ends. */
export async function openStudio(t: { after(close: () => Promise<void>): void }, options: Partial<ImagerOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-imaging-"));
  const imager = makeImager({ ...OPTIONS, ...options });
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
    const { stillFrame = 0.5, allowAnimated = true, signal = new AbortController().signal, ...asked } = order;
    const spec: ThumbnailSpec = { width: 96, height: 96, method: "crop", animated: false, format: "auto", ...asked };
    const output = join(folder, `output-${files++}`);
    return { rendered: await imager.render({ input, output, spec, stillFrame, allowAnimated }, signal), output };
  }

  /** Renders bytes, and gives back the picture that was made. */
  async function make(source: Uint8Array | string, order: Order = {}) {
    const { rendered, output } = await renderFile(await place(source), order);
    if (rendered.kind !== "image") throw new Error(`Not made: ${rendered.kind}`);
    return { ...rendered, bytes: await readFile(output) };
  }

  return { imager, folder, place, renderFile, make };
}
