/**
 * `npm run bench -- memory`: sends one very large file and many at once to an origin in a process of its own, and prints what
 * memory that took. Asserts nothing.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { startHomeserver } from "../support/homeserver.ts";
import { ask, jsonOf } from "../support/http.ts";

const MAIN = fileURLToPath(new URL("../../origin/main.ts", import.meta.url));
const TOKEN = "token";
const GIB = 2 ** 30;
const print = (line: string) => process.stdout.write(`${line}\n`);

/** Resident memory of a process in megabytes: now and at its highest. Where the machine tells. */
async function resident(pid: number): Promise<{ now: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const read = (name: string) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1000);
  return { now: read("VmRSS"), peak: read("VmHWM") };
}

/** Uploads `size` bytes that are made as they go. Resolves with `server/mediaId`. */
function send(url: string, size: number): Promise<string> {
  const chunk = Buffer.alloc(1 << 20);
  function* bytes(): Generator<Buffer> {
    for (let sent = 0; sent < size; sent += chunk.byteLength) {
      chunk.writeUInt32LE(Math.floor(Math.random() * 2 ** 32));
      yield Buffer.from(chunk.subarray(0, Math.min(chunk.byteLength, size - sent)));
    }
  }
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-length": String(size) };
    const sending = request(`${url}/_matrix/media/v3/upload`, { method: "POST", headers }, async (answer) => {
      const body = Buffer.concat(await answer.toArray()).toString();
      const uri = /mxc:\/\/([^"]+)/.exec(body)?.[1];
      if (uri) resolve(uri);
      else reject(new Error(`${answer.statusCode} ${body}`));
    });
    sending.on("error", reject);
    Readable.from(bytes()).pipe(sending);
  });
}

/** Downloads to nowhere and counts. */
function fetchAll(url: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url + path, { headers: { authorization: `Bearer ${TOKEN}` } }, (answer) => {
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.byteLength;
      });
      answer.on("end", () => resolve(bytes));
      answer.on("error", reject);
    })
      .on("error", reject)
      .end();
  });
}

/** Runs the memory figures. */
export async function benchMemory(): Promise<void> {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-memory-"));
  const config = join(folder, "media-repo.yaml");
  await writeFile(
    config,
    `homeservers: [{ name: example.org, csApi: "${homeserver.url}" }]
repo: { port: 0, logLevel: error }
${process.env.MXCDN_BENCH_POSTGRES ? `database: { postgres: "${process.env.MXCDN_BENCH_POSTGRES}" }` : `database: { folder: "${folder}/db" }`}
uploads: { maxBytes: 0 }
rateLimit: { enabled: false }
accessTokens: { maxCacheTimeSeconds: 3600 }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
`,
  );
  const child = spawn(process.execPath, [MAIN, "--config", config], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => {
        said += chunk;
        const address = /answers at (http:\S+)/.exec(said)?.[1];
        if (address) resolve(address);
        if (/ERROR/.test(chunk.toString())) print(chunk.toString());
      });
      child.once("exit", () => reject(new Error(said)));
    });
    const pid = child.pid ?? 0;
    await send(url, 1000);
    const show = async (what: string, startMs: number) => {
      const { now, peak } = await resident(pid);
      print(
        `${what.padEnd(44)} ${((Date.now() - startMs) / 1000).toFixed(1).padStart(6)} s   RSS ${now} MB, highest so far ${peak} MB`,
      );
    };
    await show("at rest", Date.now());

    let start = Date.now();
    const id = await send(url, 2 * GIB);
    await show("a 2 GiB upload", start);
    start = Date.now();
    const path = `/_matrix/client/v1/media/download/${id}`;
    if ((await fetchAll(url, path)) !== 2 * GIB) throw new Error("the download was cut short");
    await show("its download", start);
    start = Date.now();
    const range = await ask(url, path, { token: TOKEN, headers: { range: `bytes=${2 * GIB - 100}-` } });
    if (range.status !== 206 || range.body.byteLength !== 100) throw new Error(JSON.stringify(jsonOf(range)));
    await show("its last 100 bytes", start);

    start = Date.now();
    await Promise.all(Array.from({ length: 200 }, () => send(url, 20_000_000)));
    await show("200 uploads of 20 MB at once", start);
  } finally {
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("exit", resolve));
    await homeserver.close();
    await rm(folder, { recursive: true, force: true });
  }
}
