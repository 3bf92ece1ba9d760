import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DecoderPool } from "../../origin/imaging/decoder_pool.ts";
import { until } from "../support/until.ts";
import { slowSvg } from "./support/hostile_files.ts";
import { corners, plain } from "./support/pictures.ts";
import { type Order, openStudio } from "./support/studio.ts";
import { untilDrawing } from "./support/until_drawing.ts";

const BUSY = {
  errcode: "M_UNKNOWN",
  status: 503,
  message: "Cannot make thumbnails at the moment: try again",
  retryAfterMs: 2000,
};
const NOT_A_PICTURE = { errcode: "M_UNKNOWN", status: 400 };
const withoutProc = !existsSync("/proc/self/environ") && "there is no /proc";

/** Whether a process runs. One that has ended but that nobody asked about yet (an orphan's) does not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync("/proc/self/stat") || !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

type Studio = Awaited<ReturnType<typeof openStudio>>;

/** Lets the only decoder draw what takes it long; resolves once it does. */
async function keepBusy({ imager, place, renderFile }: Studio, order: Order = {}) {
  await imager.warmUp();
  const [pid = -1] = imager.pids;
  const slow = await place(slowSvg());
  const running = renderFile(slow, order);
  // Whoever gets it waits for more before: until then nobody is to take a failure for one that nobody expects.
  running.catch(() => undefined);
  await untilDrawing(pid);
  return { pid, slow, running };
}

test("a decoder serves one picture after another", async (t) => {
  const { make, imager } = await openStudio(t);
  const picture = await corners(400, 400).jpeg().toBuffer();
  await make(picture);
  const { pids } = imager;
  assert.equal(pids.length, 1);
  for (let round = 0; round < 5; round += 1) await make(picture);
  assert.deepEqual(imager.pids, pids);
});

test("a decoder is replaced after 200 pictures", async (t) => {
  const { place, imager } = await openStudio(t);
  const path = await place(await plain(20, 20).jpeg().toBuffer());
  const seen = new Set<number>();
  for (let round = 0; round < 201; round += 1) {
    await imager.probe(path, AbortSignal.timeout(20_000));
    for (const pid of imager.pids) seen.add(pid);
  }
  assert.ok(seen.size >= 2);
  await until(() => [...seen].filter(isAlive).length === 1, "one lives");
});

test("a decoder that nobody needs is ended after a while", async (t) => {
  const pool = new DecoderPool({ maxMemoryBytes: 1e9, readResidentBytes: () => undefined }, 50);
  t.after(() => pool.close(new Error("closed")));
  const pidOfReady = () =>
    pool.lend(async (decoder) => {
      await decoder.ready;
      const [pid = -1] = pool.pids;
      assert.ok(isAlive(pid));
      return pid;
    });
  const pid = await pidOfReady();
  await until(() => pool.pids.length === 0 && !isAlive(pid), "it is ended");
  assert.notEqual(await pidOfReady(), pid);
});

test("a decoder that kept much memory is not used again", async (t) => {
  let bytes = 100_000_000;
  const limits = { maxMemoryBytes: 900_000_000, readResidentBytes: () => bytes };
  const { place, imager } = await openStudio(t, limits);
  const path = await place(await plain(20, 20).jpeg().toBuffer());
  const probe = async () => {
    await imager.probe(path, AbortSignal.timeout(20_000));
    return imager.pids;
  };
  const pids = await probe();
  assert.deepEqual(await probe(), pids);
  bytes = 301_000_000;
  assert.deepEqual(await probe(), []);
});

test("as many pictures are drawn at once as there are processes, and no more decoders are started", async (t) => {
  const { make, imager } = await openStudio(t, { processes: 2 });
  const picture = await corners(1200, 1200).png().toBuffer();
  await Promise.all(Array.from({ length: 8 }, () => make(picture)));
  assert.equal(imager.pids.length, 2);
});

test("render refuses with a time to retry when too many wait", { skip: withoutProc }, async (t) => {
  const studio = await openStudio(t, { queueLength: 1 });
  const { renderFile, make, imager } = studio;
  const stop = new AbortController();
  const { slow, running } = await keepBusy(studio, { signal: stop.signal });
  const refused: unknown[] = [];
  const others = [1, 2, 3].map(() => renderFile(slow, { signal: stop.signal }).catch((error) => refused.push(error)));
  await until(() => refused.length === 2, "all but one are refused");
  for (const error of refused) await assert.rejects(Promise.reject(error), BUSY);
  await assert.rejects(imager.probe(slow, new AbortController().signal), BUSY);
  stop.abort(new Error("enough"));
  await Promise.allSettled([running, ...others]);
  assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
});

test("an abort ends the waiting, and leaves the one that draws alone", { skip: withoutProc }, async (t) => {
  const studio = await openStudio(t);
  const { renderFile } = studio;
  const [first, second] = [new AbortController(), new AbortController()];
  const { pid, slow, running } = await keepBusy(studio, { signal: first.signal });
  const waiting = renderFile(slow, { signal: second.signal });
  await sleep(50);
  second.abort(new Error("gone"));
  await assert.rejects(waiting, { message: "gone" });
  assert.ok(isAlive(pid));
  first.abort(new Error("gone too"));
  await assert.rejects(running, { message: "gone too" });
});

test("an abort ends the drawing with its decoder at once, and leaves no output behind", {
  skip: withoutProc,
}, async (t) => {
  const studio = await openStudio(t, { timeoutMs: 120_000 });
  const { folder, imager } = studio;
  const abort = new AbortController();
  const { pid, running } = await keepBusy(studio, { signal: abort.signal });
  const began = performance.now();
  abort.abort(new Error("gone"));
  await assert.rejects(running, { message: "gone" });
  assert.ok(performance.now() - began < 30_000);
  assert.ok(!isAlive(pid));
  assert.deepEqual(await readdir(folder), ["source-0"]);
  assert.deepEqual(imager.pids, []);
});

test("a caller's deadline is not the picture's fault", async (t) => {
  const { place, renderFile } = await openStudio(t);
  await assert.rejects(renderFile(await place(slowSvg()), { signal: AbortSignal.timeout(500) }), BUSY);
});

test("a decoder that crashes costs one picture, not the server", { skip: withoutProc }, async (t) => {
  const studio = await openStudio(t);
  const { folder, make } = studio;
  const { pid, running } = await keepBusy(studio);
  process.kill(pid, "SIGSEGV");
  await assert.rejects(running, NOT_A_PICTURE);
  assert.deepEqual(await readdir(folder), ["source-0"]);
  assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
});

test("a decoder that dies while it is idle is not missed", async (t) => {
  const { make, imager } = await openStudio(t);
  await imager.warmUp();
  const [pid = -1] = imager.pids;
  process.kill(pid, "SIGKILL");
  await until(() => imager.pids.length === 0, "it is missed no more");
  assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
});

test("what is our fault is no fault of the picture", async (t) => {
  const { folder, place, imager } = await openStudio(t);
  const input = await place(await corners(400, 400).jpeg().toBuffer());
  const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
  const output = join(folder, "no such folder", "output");
  const job = { input, output, spec, stillFrame: 0, allowAnimated: true };
  await assert.rejects(imager.render(job, new AbortController().signal), { name: "Error", message: /ENOENT/ });
  await assert.rejects(imager.probe(join(folder, "nothing"), new AbortController().signal), { code: "ENOENT" });
});

test("close ends what draws, what waits and what is idle, and lets nothing begin", async (t) => {
  const { place, renderFile, imager, make } = await openStudio(t, { processes: 2 });
  const slow = await place(slowSvg());
  await Promise.all([1, 2].map(async () => make(await corners(400, 400).jpeg().toBuffer())));
  const { pids } = imager;
  assert.equal(pids.length, 2);
  const running = renderFile(slow);
  const waiting = [renderFile(slow), renderFile(slow)];
  const rejected = Promise.all([running, ...waiting].map((one) => assert.rejects(one, BUSY)));
  await sleep(100);
  await imager.close();
  await rejected;
  assert.deepEqual(pids.filter(isAlive), []);
  assert.deepEqual(imager.pids, []);
  await assert.rejects(renderFile(slow), BUSY);
  assert.deepEqual(imager.pids, []);
});

test("decoders end with their parent, even one that is killed while they draw", { skip: withoutProc }, async (t) => {
  const { folder, place } = await openStudio(t);
  const program = new URL("./support/lone_imager.ts", import.meta.url);
  const parent = fork(program, [await place(slowSvg()), join(folder, "output")], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [pids] = (await once(parent, "message")) as [number[]];
  assert.equal(pids.filter(isAlive).length, 1);
  parent.kill("SIGKILL");
  await until(() => !pids.some(isAlive), "they end");
});

test("decoders know nothing of our environment", { skip: withoutProc }, async (t) => {
  const { imager } = await openStudio(t);
  await imager.warmUp();
  const environment = await readFile(`/proc/${imager.pids[0]}/environ`, "latin1");
  const names = environment
    .split("\0")
    .filter(Boolean)
    .map((entry) => entry.split("=")[0]);
  const ipc = ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"];
  assert.deepEqual(names.sort(), ["MALLOC_ARENA_MAX", "UV_THREADPOOL_SIZE", "VIPS_DISC_THRESHOLD", ...ipc].sort());
});

test("decoders load nothing but what is on the allow-list, whatever a file is called", async (t) => {
  const { folder } = await openStudio(t);
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
  const files = {
    "a.svg": svg,
    "a.csv": "1,2\n3,4\n",
    "a.mat": "2 2\n1 2\n3 4\n",
    "a.v": await vipsFile(folder),
    "a.ppm": "P6\n1 1\n255\n\0\0\0",
    "a.pdf": "%PDF-1.7\n",
  };
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  await writeFile(join(folder, "a.png"), await plain(9, 9).png().toBuffer());
  const program = new URL("./support/load_all.ts", import.meta.url);
  const child = fork(program, [folder, ...Object.keys(files), "a.png"], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [loaded] = (await once(child, "message")) as [string[]];
  assert.deepEqual(loaded, ["a.png"]);
});

async function vipsFile(folder: string): Promise<Buffer> {
  const path = join(folder, "made.v");
  await plain(9, 9).toFile(path);
  return await readFile(path);
}
