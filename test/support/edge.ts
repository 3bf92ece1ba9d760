import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Miniflare } from "miniflare";

/** What an edge under test is told. */
export interface EdgeOptions {
  readonly originUrl: string;
  readonly hopSecret: string;
  /** More variables of its environment (`edge/env.ts`). */
  readonly vars?: Readonly<Record<string, string>>;
  /** Without the R2 binding: for an edge that reaches its bucket over S3. */
  readonly withoutBinding?: boolean;
}

/** How to reach the edge's bucket over S3, as the origin does. */
export interface EdgeS3 {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What the bucket does when the edge reads it: as it is, after `delayMs`, when it is `held` no more, or not at all. */
export interface BucketMood {
  readonly delayMs?: number;
  readonly held?: boolean;
  readonly failing?: boolean;
}

/** The edge, running in workerd. */
export interface RunningEdge {
  /** Where it listens, on loopback. No slash at the end. */
  readonly url: string;
  /** The same, behind Miniflare's own front, which treats requests and answers as `wrangler dev` does. */
  readonly frontUrl: string;
  readonly s3: EdgeS3;
  /** The bucket itself, for the test to fill. */
  readonly bucket: Awaited<ReturnType<Miniflare["getR2Bucket"]>>;
  /** How often the Worker has read each key through its binding. */
  bucketReads(): Promise<Record<string, number>>;
  setBucketMood(mood: BucketMood): Promise<void>;
  /** Holds the bucket until `count` of the requests that `send` sends have reached the Worker, so that they are there at once. */
  gather<T>(count: number, send: () => Promise<T>): Promise<T>;
  dispose(): Promise<void>;
}

const TOP = fileURLToPath(new URL("../..", import.meta.url));
const BUCKET = "mxcdn";
const KEYS = { accessKeyId: "local", secretAccessKey: "local-secret" };
const CONTROL = "/__test/";

/**
 * The real Worker, with its bucket binding watched: it counts the reads and can be slow or broken. Its own paths are asked only
 * by this file.
 */
const WATCHED = `
import worker from "./edge/main.ts";
const reads = {};
let mood = {};
let visits = 0;
async function act(work) {
  while (mood.held) await scheduler.wait(5);
  if (mood.delayMs) await scheduler.wait(mood.delayMs);
  if (mood.failing) throw new Error("the test broke the bucket");
  return await work();
}
function watched(bucket) {
  return bucket && { get(key, options) { reads[key] = (reads[key] ?? 0) + 1; return act(() => bucket.get(key, options)); } };
}
export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "${CONTROL}reads") return Response.json(reads);
    if (pathname === "${CONTROL}mood") { mood = await request.json(); return new Response(null, { status: 204 }); }
    if (pathname === "${CONTROL}visits") return Response.json(visits);
    visits += 1;
    return await worker.fetch(request, { ...env, BUCKET: watched(env.BUCKET) }, context);
  },
};`;

/** Bundles the Worker as `wrangler deploy` would, and runs it in workerd on a free port of loopback. Call `dispose` at the end. */
export async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.mjs", contents: await bundle() }],
    compatibilityDate: "2026-07-30",
    host: "127.0.0.1",
    port: 0,
    cf: false,
    // Miniflare's front resolves encoded dot segments and compresses texts; this socket leads to the Worker itself.
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    r2Buckets: { [options.withoutBinding ? "ELSEWHERE" : "BUCKET"]: { id: BUCKET, s3Credentials: KEYS } },
    bindings: { ORIGIN_URL: options.originUrl, HOP_SECRET: options.hopSecret, ...options.vars },
  });
  const front = await worker.ready;
  const direct = withoutSlash(await worker.unsafeGetDirectURL());
  const read = async (what: string) => (await fetch(`${direct}${CONTROL}${what}`)).json();
  const setBucketMood = async (mood: BucketMood) => {
    await fetch(`${direct}${CONTROL}mood`, { method: "POST", body: JSON.stringify(mood) });
  };
  return {
    url: direct,
    frontUrl: withoutSlash(front),
    s3: { endpoint: withoutSlash(new URL("/cdn-cgi/local/r2/s3", front)), bucket: BUCKET, region: "auto", ...KEYS },
    bucket: await worker.getR2Bucket(options.withoutBinding ? "ELSEWHERE" : "BUCKET"),
    bucketReads: async () => (await read("reads")) as Record<string, number>,
    setBucketMood,
    async gather(count, send) {
      const before = Number(await read("visits"));
      await setBucketMood({ held: true });
      try {
        const sent = send();
        while (Number(await read("visits")) < before + count) await setTimeout(5);
        // They have arrived, and some have yet to compute what they look for.
        await setTimeout(100);
        await setBucketMood({});
        return await sent;
      } finally {
        await setBucketMood({});
      }
    },
    dispose: () => worker.dispose(),
  };
}

let bundled: Promise<string> | undefined;

/** Once per test process. */
function bundle(): Promise<string> {
  bundled ??= makeBundle();
  return bundled;
}

async function makeBundle(): Promise<string> {
  const result = await build({
    stdin: { contents: WATCHED, resolveDir: TOP, loader: "js" },
    bundle: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

function withoutSlash(url: URL): string {
  return url.href.replace(/\/$/, "");
}
