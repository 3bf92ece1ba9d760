import { join } from "node:path";
import type { Readable } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import type { Miniflare } from "miniflare";
import { explain } from "../trouble/explain.ts";
import { EDGE_PORT } from "../trouble/port_trouble.ts";
import { demandPort } from "../trouble/preflight.ts";
import { bundleWorker, endBundler, type WorkerSource, watchWorker } from "./worker_bundle.ts";
import { type RuntimeOptions, runtimeOptions, startRuntime, withLocalBuckets } from "./worker_runtime.ts";
import { readWorkerSettings, type WorkerSettings } from "./worker_settings.ts";

/**
 * The local edge as a process of its own: bundles the Worker that `wrangler.toml` names, and runs it in workerd until it is
 * told to end, whoever started it is gone, or workerd ends. Its job comes over the channel, because there is a secret in it.
 */

/** What it is told, once. */
export interface EdgeJob {
  readonly top: string;
  /** Where clients reach the edge, on loopback. */
  readonly port: number;
  readonly vars: Readonly<Record<string, string>>;
  /** The folder that keeps the bucket. */
  readonly state: string;
  /** Sources that change are bundled anew. */
  readonly watch: boolean;
}

/** While workerd starts or is replaced, its end is told by whoever started it. */
let starting = true;

// Ending this process ends workerd with it: Miniflare sees to that.
process.once("disconnect", () => process.exit());
process.once("SIGINT", () => process.exit());
process.once("SIGTERM", () => process.exit());
// A reader that is gone must not keep us from our work.
process.stderr.on("error", () => {});
process.once("message", (job: EdgeJob) => {
  run(job).catch((error: unknown) => stop(explain(error)));
});

async function run(job: EdgeJob): Promise<void> {
  const settings = await readWorkerSettings(settingsFile(job));
  const frontPort = await demandPort("127.0.0.1", 0, EDGE_PORT);
  const options = { ...job, frontPort, onOutput: follow };
  const first = { ...options, code: await bundleWorker(sourceOf(settings, job)) };
  const runtime = await startRuntime(settings, first);
  starting = false;
  if (job.watch) await keepFresh(runtime, job, settings, first);
  else await endBundler();
}

function sourceOf({ main }: WorkerSettings, { top }: EdgeJob): WorkerSource {
  return { text: withLocalBuckets(main), folder: top };
}

/** Runs what the sources and `wrangler.toml` say by now, and goes on with what it has while they are broken. */
async function keepFresh(runtime: Miniflare, job: EdgeJob, settings: WorkerSettings, options: RuntimeOptions) {
  let current = { settings, options };
  const renew = async (code: string) => {
    const next = { settings: await readWorkerSettings(settingsFile(job)), options: { ...options, code } };
    if (isDeepStrictEqual(next, current)) return;
    await replace(runtime, next, current);
    current = next;
    say("the Worker has changed, and runs anew");
  };
  let last: Promise<unknown> = Promise.resolve();
  await watchWorker(sourceOf(settings, job), [settingsFile(job)], {
    onBundle: (code) => {
      last = last.then(() => renew(code)).catch((error: unknown) => notUsed(explain(error)));
    },
    onBroken: notUsed,
  });
}

/** What a runtime runs. */
interface Running {
  readonly settings: WorkerSettings;
  readonly options: RuntimeOptions;
}

/** Throws what keeps the next one from running, with the one before running again. */
async function replace(runtime: Miniflare, next: Running, before: Running): Promise<void> {
  starting = true;
  try {
    await runtime.setOptions(runtimeOptions(next.settings, next.options));
  } catch (error) {
    await runtime.setOptions(runtimeOptions(before.settings, before.options)).catch(() => stop(explain(error)));
    throw error;
  } finally {
    starting = false;
  }
}

function notUsed(problems: readonly string[]): void {
  say(`the changed Worker is not used: ${problems.join("; ")}`);
}

function settingsFile({ top }: EdgeJob): string {
  return join(top, "wrangler.toml");
}

/** What the Worker and workerd say is said to whoever reads our standard error. When they are silent for good, we end. */
function follow(stdout: Readable, stderr: Readable): void {
  for (const output of [stdout, stderr]) output.on("data", (chunk: Buffer) => void process.stderr.write(chunk));
  stdout.once("end", () => {
    if (!starting) stop(["workerd, which runs the edge's Worker, has ended"]);
  });
}

function say(line: string): void {
  process.stderr.write(`mxcdn: ${line}\n`);
}

function stop(lines: readonly string[]): never {
  for (const line of lines) say(line);
  process.exit(1);
}
