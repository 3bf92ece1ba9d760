import type { Readable } from "node:stream";
import { Miniflare, type MiniflareOptions } from "miniflare";
import { LOCAL_S3_PATH } from "../../config/local_bucket.ts";
import type { WorkerBucket, WorkerSettings } from "./worker_settings.ts";

/** Runs a bundled Worker in workerd, with local buckets. */

/** How to run a Worker here. */
export interface RuntimeOptions {
  /** Its one module. */
  readonly code: string;
  /** Where the Worker itself answers, on loopback. 0: any free port. */
  readonly port: number;
  /** Where Miniflare's front answers, which has the buckets' S3 API. 0: any free port. */
  readonly frontPort: number;
  /** Variables and secrets beside, or instead of, those of the settings. */
  readonly vars?: Readonly<Record<string, string>>;
  /** The folder that keeps the buckets; without it they are gone with the runtime. */
  readonly state?: string;
  /** Receives the output of workerd. Both streams are closed when workerd has ended. */
  readonly onOutput?: (stdout: Readable, stderr: Readable) => void;
}

/** The variable under which the Worker finds Miniflare's front as a service; see {@link withLocalBuckets}. */
const FRONT = "LOCAL_FRONT";

/**
 * The Worker of a module as it runs here: on Cloudflare the buckets' S3 API has an address of its own, here it has a path of
 * the Worker's, as under `wrangler dev`. Everything else reaches the Worker as the client has sent it.
 */
export function withLocalBuckets(main: string): string {
  return `
import worker from ${JSON.stringify(main)};
const local = {
  ...worker,
  fetch(request, env, context) {
    const { url } = request;
    if (url.startsWith("${LOCAL_S3_PATH}/", url.indexOf("/", url.indexOf("://") + 3))) return env.${FRONT}.fetch(request);
    return worker.fetch(request, env, context);
  },
};
export { local as default };`;
}

/**
 * What Miniflare is told to run a Worker in workerd. Clients ask the Worker on a socket of its own: Miniflare's front would
 * resolve encoded dot segments and compress texts, whatever the answer says.
 */
export function runtimeOptions(settings: WorkerSettings, options: RuntimeOptions): MiniflareOptions {
  const { code, port, frontPort, vars, state, onOutput } = options;
  return {
    name: settings.name,
    modules: [{ type: "ESModule", path: "worker.mjs", contents: code }],
    compatibilityDate: settings.compatibilityDate,
    compatibilityFlags: [...settings.compatibilityFlags],
    host: "127.0.0.1",
    port: frontPort,
    // Do not fetch the location of this machine from Cloudflare.
    cf: false,
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
    bindings: { ...settings.vars, ...vars },
    r2Buckets: Object.fromEntries(settings.buckets.map((bucket) => [bucket.binding, bucketOptions(bucket)])),
    ...(frontPort === 0
      ? {}
      : { serviceBindings: { [FRONT]: { external: { address: `127.0.0.1:${frontPort}`, http: {} } } } }),
    // The same layout as `wrangler dev` has in its folder.
    ...(state === undefined ? {} : { defaultPersistRoot: `${state}/v3` }),
    ...(onOutput === undefined ? {} : { handleRuntimeStdio: onOutput }),
  };
}

function bucketOptions({ name, s3 }: WorkerBucket) {
  return { id: name, ...(s3 ? { s3Credentials: { ...s3 } } : {}) };
}

/** Starts a Worker. Resolves when it answers; call `dispose` at the end. */
export async function startRuntime(settings: WorkerSettings, options: RuntimeOptions): Promise<Miniflare> {
  const runtime = new Miniflare(runtimeOptions(settings, options));
  try {
    await runtime.ready;
    return runtime;
  } catch (error) {
    await runtime.dispose().catch(() => {});
    throw error;
  }
}
