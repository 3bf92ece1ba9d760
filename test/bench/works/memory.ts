/**
 * `npm run bench -- memory`: sends one very large file and many at once to an origin in a process of its own, and prints what
 * memory that took. Asserts nothing.
 */
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { Readable } from "node:stream";
import { ask, jsonOf } from "../../support/http.ts";
import { startBenchOrigin, TOKEN } from "../subjects/origin.ts";

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
  const origin = await startBenchOrigin({ postgres: process.env.MXCDN_BENCH_POSTGRES });
  try {
    const { url, pid } = origin;
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
    await origin.close();
  }
}
