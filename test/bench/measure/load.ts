import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Drives a server for a while, always with the same number of requests at once, and tells how it did. */

/** What came of it. Times in milliseconds. */
export interface Load {
  readonly requests: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
  /** Requests that were not answered with 2xx. */
  readonly failures: number;
}

/** What is asked: `paths` in turn, each with `headers`. */
export interface Asked {
  readonly url: string;
  readonly paths: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

/** wrk costs far less than a driver in Node, which would take more of the machine than what it drives. */
export const HAS_WRK = !spawnSync("wrk", ["-v"]).error;

/** GETs over kept connections for `ms` milliseconds, by wrk. */
export async function driveGets(asked: Asked, connections: number, ms: number): Promise<Load> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-wrk-"));
  try {
    const script = join(folder, "paths.lua");
    await writeFile(script, scriptOf(asked));
    const args = ["-t1", `-c${connections}`, `-d${Math.ceil(ms / 1000)}s`, "--timeout", "60s", "-s", script];
    return loadOf(await outputOf("wrk", [...args, asked.url]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function scriptOf({ paths, headers }: Asked): string {
  const quote = (text: string) => JSON.stringify(text);
  const header = Object.entries(headers).map(([name, value]) => `wrk.headers[${quote(name)}] = ${quote(value)}`);
  return `${header.join("\n")}
local paths = { ${paths.map(quote).join(", ")} }
local at = 0
request = function() at = at % #paths + 1; return wrk.format("GET", paths[at]) end
done = function(summary, latency)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("RESULT %d %d %f %f %d", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failures))
end
`;
}

/** wrk tells times in microseconds. */
function loadOf(output: string): Load {
  const found = /^RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)$/m.exec(output);
  if (!found) throw new Error(`wrk said: ${output}`);
  const [requests = 0, duration = 0, p50 = 0, p99 = 0, failures = 0] = found.slice(1).map(Number);
  return { requests, seconds: duration / 1e6, p50: p50 / 1000, p99: p99 / 1000, failures };
}

function outputOf(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(said));
  });
}

/** Calls `send` again and again for `ms` milliseconds, or until it has been called for each of `most`, `lanes` at once. */
export async function driveCalls(
  send: (index: number) => Promise<boolean>,
  { lanes, ms, most = Number.POSITIVE_INFINITY }: { lanes: number; ms: number; most?: number },
): Promise<Load> {
  const begun = performance.now();
  const took: number[] = [];
  let failures = 0;
  let next = 0;
  const lane = async () => {
    while (performance.now() - begun < ms && next < most) {
      const start = performance.now();
      if (!(await send(next++))) failures += 1;
      took.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const seconds = (performance.now() - begun) / 1000;
  return { requests: took.length, seconds, p50: percentile(took, 0.5), p99: percentile(took, 0.99), failures };
}

/** One value of which a share of the others is not larger; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** Sends one request and reads its answer to the end. Resolves with its body, or `undefined` where it is not 2xx. */
export function send(
  url: string,
  options: { method?: string; headers?: Readonly<Record<string, string>>; body?: Uint8Array } = {},
): Promise<Buffer | undefined> {
  const { method = "GET", headers, body } = options;
  const length = body ? { "content-length": String(body.byteLength) } : {};
  return new Promise((resolve) => {
    const sent = request(url, { agent, method, headers: { ...headers, ...length } }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", () => resolve(undefined));
      answer.on("end", () => resolve(answer.statusCode === 200 ? Buffer.concat(chunks) : undefined));
    });
    sent.on("error", () => resolve(undefined));
    sent.end(body);
  });
}
