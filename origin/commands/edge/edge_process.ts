import { join } from "node:path";
import type { Readable } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import type { Miniflare } from "miniflare";
import { describeError } from "../trouble/describe_error.ts";
import { EDGE_PORT } from "../trouble/local_trouble.ts";
import { requirePort } from "../trouble/preflight.ts";
import { bundleWorker, endBundler, type WorkerSource, watchWorker } from "./worker_bundle.ts";
import { type RuntimeOptions, runtimeOptions, startRuntime, withLocalBuckets } from "./worker_runtime.ts";
import { readWorkerSettings, type WorkerSettings } from "./worker_settings.ts";

/**
 * The local edge as a process of its own: bundles the Worker that `wrangler.toml` names, and runs it in workerd until it is
 * told to end, its parent process is gone, or workerd ends. Its job comes over the channel, because it contains a secret.
 */

/** What the parent process sends once: how to run the Worker. */
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

/** While workerd starts or is replaced, its end is reported by the function that started it. */
let starting = true;

// Ending this process ends workerd with it: Miniflare sees to that.
process.once("disconnect", () => process.exit());
process.once("SIGINT", () => process.exit());
process.once("SIGTERM", () => process.exit());
// A parent process that no longer reads must not end this one.
process.stderr.on("error", () => {});
process.once("message", (job: EdgeJob) => {
  run(job).catch((error: unknown) => stop(describeError(error)));
});

async function run(job: EdgeJob): Promise<void> {
  const settings = await readWorkerSettings(settingsFile(job));
  const frontPort = await requirePort("127.0.0.1", 0, EDGE_PORT);
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

/** Runs the current sources and `wrangler.toml`, and keeps running the last ones that worked while they are broken. */
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
      last = last.then(() => renew(code)).catch((error: unknown) => notUsed(describeError(error)));
    },
    onBroken: notUsed,
  });
}

/** What a runtime runs. */
interface Running {
  readonly settings: WorkerSettings;
  readonly options: RuntimeOptions;
}

/** Throws the error that keeps the next one from running, after the previous one runs again. */
async function replace(runtime: Miniflare, next: Running, before: Running): Promise<void> {
  starting = true;
  try {
    await runtime.setOptions(runtimeOptions(next.settings, next.options));
  } catch (error) {
    await runtime.setOptions(runtimeOptions(before.settings, before.options)).catch(() => stop(describeError(error)));
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

/** Copies the output of the Worker and of workerd to the standard error. Ends this process when workerd has ended. */
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
