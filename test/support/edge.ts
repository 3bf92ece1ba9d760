import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Miniflare } from "miniflare";
import { bundleWorker } from "../../origin/commands/edge/worker_bundle.ts";
import { startRuntime } from "../../origin/commands/edge/worker_runtime.ts";
import { readWorkerSettings } from "../../origin/commands/edge/worker_settings.ts";
import { LOCAL_S3_PATH } from "../../origin/config/local_bucket.ts";
import { until } from "./until.ts";

/** What an edge under test is told. */
export interface EdgeOptions {
  /** Where its origin answers; without it the edge hears that by `tellOrigin`. */
  readonly originUrl?: string;
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

/** What the bucket does when the edge reads it. */
export interface BucketMood {
  /** What is read comes only after so many milliseconds, and is from before. */
  readonly delayMs?: number;
  /** Nothing is read until it is `held` no more. */
  readonly held?: boolean;
  /** Every read fails. */
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
  /** Sets the Worker's time of day, by so many milliseconds. */
  setClock(byMs: number): Promise<void>;
  /** Lets pass, by the Worker's clock, what it takes until it believes nothing any more that it has read before. */
  forget(): Promise<void>;
  /** Lets in what `send` sends when `count` requests of it have come, so that all of them are there at once and wait for the bucket. */
  gather<T>(count: number, send: () => Promise<T>): Promise<T>;
  /** Where the origin of an edge answers that was started without knowing. To be said before the first request. */
  tellOrigin(url: string): Promise<void>;
  dispose(): Promise<void>;
}

const TOP = fileURLToPath(new URL("../..", import.meta.url));
const CONTROL = "/__test/";
/** For how long the edge may believe what it has read. */
const BELIEVED_MS = 2_000;

/**
 * The real Worker, with its bucket binding watched: it counts the reads and can be slow or broken. While it is `closed`, requests
 * wait at its door. Its own paths are asked only by this file.
 */
const WATCHED = `
import worker from "./edge/main.ts";
const reads = {};
let mood = {};
let told = {};
let setByMs = 0;
let passedMs = 0;
const timeOfDay = Date.now;
Date.now = () => timeOfDay() + setByMs + passedMs;
let visits = { come: 0, in: 0 };
async function act(work) {
  const { delayMs } = mood;
  while (mood.held) await scheduler.wait(5);
  if (mood.failing) throw new Error("the test broke the bucket");
  const result = await work();
  if (delayMs) await scheduler.wait(delayMs);
  return result;
}
function watched(bucket) {
  return bucket && { get(key, options) { reads[key] = (reads[key] ?? 0) + 1; return act(() => bucket.get(key, options)); } };
}
export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "${CONTROL}reads") return Response.json(reads);
    if (pathname === "${CONTROL}mood") { mood = await request.json(); return new Response(null, { status: 204 }); }
    if (pathname === "${CONTROL}origin") { told = { ORIGIN_URL: await request.text() }; return new Response(null, { status: 204 }); }
    if (pathname === "${CONTROL}clock") { setByMs = Number(await request.text()); return new Response(null, { status: 204 }); }
    if (pathname === "${CONTROL}pass") { passedMs += Number(await request.text()); return new Response(null, { status: 204 }); }
    if (pathname === "${CONTROL}visits") return Response.json(visits);
    visits.come += 1;
    while (mood.closed) await scheduler.wait(5);
    visits.in += 1;
    return await worker.fetch(request, { ...env, ...told, BUCKET: watched(env.BUCKET) }, context);
  },
};`;

/** Runs the Worker in workerd as `npm start` does, on a free port of loopback. Call `dispose` at the end. */
export async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  const settings = await readWorkerSettings(join(TOP, "wrangler.toml"));
  const [bucket] = settings.buckets;
  if (!bucket?.s3) throw new Error("wrangler.toml has no bucket that can be reached over S3");
  const binding = options.withoutBinding ? "ELSEWHERE" : bucket.binding;
  const worker = await startRuntime(
    { ...settings, buckets: [{ ...bucket, binding }] },
    {
      ...{ code: await bundle(), port: 0, frontPort: 0 },
      vars: {
        ...{ ORIGIN_URL: options.originUrl ?? "", HOP_SECRET: options.hopSecret, TRUST_CF_CONNECTING_IP: "" },
        ...options.vars,
      },
    },
  );
  const front = await worker.ready;
  const direct = withoutSlash(await worker.unsafeGetDirectURL());
  const read = async (what: string) => (await fetch(`${direct}${CONTROL}${what}`)).json();
  const tell = async (what: string, ms: number) =>
    void (await fetch(`${direct}${CONTROL}${what}`, { method: "POST", body: String(ms) }));
  const setBucketMood = async (mood: BucketMood & { closed?: boolean }) => {
    await fetch(`${direct}${CONTROL}mood`, { method: "POST", body: JSON.stringify(mood) });
  };
  return {
    url: direct,
    frontUrl: withoutSlash(front),
    s3: { endpoint: withoutSlash(new URL(LOCAL_S3_PATH, front)), bucket: bucket.name, region: "auto", ...bucket.s3 },
    bucket: await worker.getR2Bucket(binding),
    bucketReads: async () => (await read("reads")) as Record<string, number>,
    setBucketMood,
    setClock: (byMs) => tell("clock", byMs),
    forget: () => tell("pass", BELIEVED_MS + 50),
    async gather(count, send) {
      const visits = async () => (await read("visits")) as { come: number; in: number };
      const before = await visits();
      await setBucketMood({ closed: true });
      try {
        const sent = send();
        await until(async () => (await visits()).come >= before.come + count, "they have not all come");
        await setBucketMood({ held: true });
        await until(async () => (await visits()).in >= before.in + count, "they are not all in");
        // Some have yet to compute what they look for.
        await setTimeout(200);
        await setBucketMood({});
        return await sent;
      } finally {
        await setBucketMood({});
      }
    },
    tellOrigin: async (url) => void (await fetch(`${direct}${CONTROL}origin`, { method: "POST", body: url })),
    dispose: () => worker.dispose(),
  };
}

let bundled: Promise<string> | undefined;

/** Once per test process. */
function bundle(): Promise<string> {
  bundled ??= bundleWorker({ text: WATCHED, folder: TOP });
  return bundled;
}

function withoutSlash(url: URL): string {
  return url.href.replace(/\/$/, "");
}
