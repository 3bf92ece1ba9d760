import { randomBytes } from "node:crypto";
import { Miniflare } from "miniflare";
import { HOP_SECRET } from "../../support/app.ts";
import { type RunningEdge, startEdge } from "../../support/edge.ts";
import { until } from "../../support/until.ts";
import type { Target, Work } from "../measure/compare.ts";
import { driveGets } from "../measure/load.ts";
import { childrenOf } from "../measure/process_tree.ts";
import { startLocalEdge } from "../subjects/local_edge.ts";
import { AUTHORIZATION, startBenchOrigin } from "../subjects/origin.ts";
import { Repository } from "../subjects/repository.ts";

/**
 * Hits at the edge, beside a Worker that reads the same bytes from its bucket and asks nothing; and at the edges of `npm start`
 * and of `wrangler dev`, with all the processes that they are of.
 */

const BARE = `export default { async fetch(request, env) {
  const object = await env.BUCKET.get(new URL(request.url).pathname.slice(1));
  return new Response(object.body, { headers: { "content-length": String(object.size), "content-type": "application/octet-stream" } });
} };`;

/** Starts both tiers and the bare Worker, hands over the works, and ends them. */
export async function withEdgeWorks(act: (work: Work) => Promise<void>, postgres: string | undefined): Promise<void> {
  const before = new Set(childrenOf(process.pid, "workerd"));
  const edge = await startEdge({ hopSecret: HOP_SECRET });
  const edgePid = newChild(before);
  const bare = await startBare();
  const barePid = newChild(new Set([...before, edgePid]));
  const origin = await startBenchOrigin({ postgres, yaml: edgeSection(edge) });
  const started = await startLocalEdge([]);
  const underWrangler = await startLocalEdge(["--wrangler-dev"]);
  try {
    await edge.tellOrigin(origin.url);
    const edges = [
      new Repository("edge, a hit", edge.url, edgePid),
      new Repository("edge of npm start, a hit", started.url, started.pid),
      new Repository("edge of wrangler dev, a hit", underWrangler.url, underWrangler.pid),
    ];
    for (const [name, bytes, connections] of [
      ["100 kB", 100_000, 16],
      ["5 MB", 5_000_000, 8],
    ] as const) {
      const body = randomBytes(bytes);
      await bare.put(name.replace(" ", ""), body);
      const get = (url: string, where: string): Target["run"] => {
        return (ms) => driveGets({ url, paths: [where], headers: AUTHORIZATION }, connections, ms);
      };
      const targets: Target[] = [
        { name: "bare Worker, R2 get", pid: barePid, isBare: true, run: get(bare.url, `/${name.replace(" ", "")}`) },
      ];
      for (const one of edges) {
        const path = one.download(await one.requireUpload(body));
        await until(async () => await isHit(one.url + path), "no hit");
        targets.push({ name: one.name, pid: one.pid, run: get(one.url, path) });
      }
      await act({ name: `edge hit ${name}, ${connections} connections`, targets });
    }
  } finally {
    await underWrangler.close();
    await started.close();
    await origin.close();
    await bare.close();
    await edge.dispose();
  }
}

async function isHit(url: string): Promise<boolean> {
  const answer = await fetch(url, { headers: AUTHORIZATION });
  await answer.arrayBuffer();
  return answer.headers.get("cache-status")?.includes("hit") === true;
}

function edgeSection({ s3 }: RunningEdge): string {
  return `edge:
  enabled: true
  hopSecret: ${HOP_SECRET}
  bucket: { endpoint: "${s3.endpoint}", bucketName: "${s3.bucket}", accessKeyId: "${s3.accessKeyId}", accessSecret: "${s3.secretAccessKey}" }`;
}

async function startBare() {
  const worker = new Miniflare({
    modules: true,
    script: BARE,
    compatibilityDate: "2026-07-30",
    host: "127.0.0.1",
    port: 0,
    cf: false,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    r2Buckets: ["BUCKET"],
  });
  await worker.ready;
  const bucket = await worker.getR2Bucket("BUCKET");
  return {
    url: (await worker.unsafeGetDirectURL()).href.replace(/\/$/, ""),
    put: (name: string, body: Buffer) => bucket.put(name, body),
    close: () => worker.dispose(),
  };
}

function newChild(known: ReadonlySet<number>): number {
  const found = childrenOf(process.pid, "workerd").find((pid) => !known.has(pid));
  if (found === undefined) throw new Error("no workerd has started");
  return found;
}
