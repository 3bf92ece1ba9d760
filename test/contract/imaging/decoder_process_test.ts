import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DecoderPool } from "../../../origin/imaging/sandbox/decoder_pool.ts";
import { isAlive } from "../../support/is_alive.ts";
import { until } from "../../support/until.ts";
import { slowSvg } from "./support/hostile_files.ts";
import { keepBusy } from "./support/keep_busy.ts";
import { corners, plain } from "./support/pictures.ts";
import { FORMATS, openStudio } from "./support/studio.ts";

const BUSY = {
  kind: "busy",
  message: "Cannot make thumbnails at the moment: try again",
};
const withoutProc = !existsSync("/proc/self/environ") && "there is no /proc";

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
  const { place, imager, probe } = await openStudio(t);
  const path = await place(await plain(20, 20).jpeg().toBuffer());
  const seen = new Set<number>();
  for (let round = 0; round < 201; round += 1) {
    await probe(path, AbortSignal.timeout(20_000));
    for (const pid of imager.pids) seen.add(pid);
  }
  assert.ok(seen.size >= 2);
  await until(() => [...seen].filter(isAlive).length === 1, "one lives");
});

test("a decoder that nobody needs is ended after a while", async (t) => {
  const pool = new DecoderPool({ maxMemoryBytes: 1e9, readProcessUsage: () => undefined }, 50);
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
  const limits = { maxMemoryBytes: 900_000_000, readProcessUsage: () => ({ residentBytes: bytes, cpuMs: 0 }) };
  const { place, imager, probe } = await openStudio(t, limits);
  const path = await place(await plain(20, 20).jpeg().toBuffer());
  const pidsAfter = async () => {
    await probe(path, AbortSignal.timeout(20_000));
    return imager.pids;
  };
  const pids = await pidsAfter();
  assert.deepEqual(await pidsAfter(), pids);
  bytes = 301_000_000;
  assert.deepEqual(await pidsAfter(), []);
});

test("as many pictures are drawn at once as there are processes, and no more decoders are started", async (t) => {
  const { make, imager } = await openStudio(t, { processes: 2 });
  const picture = await corners(1200, 1200).png().toBuffer();
  await Promise.all(Array.from({ length: 8 }, () => make(picture)));
  assert.equal(imager.pids.length, 2);
});

test("render refuses with a time to retry when too many wait", { skip: withoutProc }, async (t) => {
  const studio = await openStudio(t, { queueLength: 1 });
  const { renderFile, make, probe } = studio;
  const stop = new AbortController();
  const { slow, running } = await keepBusy(studio, { signal: stop.signal });
  const refused: unknown[] = [];
  const others = [1, 2, 3].map(() => renderFile(slow, { signal: stop.signal }).catch((error) => refused.push(error)));
  await until(() => refused.length === 2, "all but one are refused");
  for (const error of refused) await assert.rejects(Promise.reject(error), BUSY);
  await assert.rejects(probe(slow), BUSY);
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
  const studio = await openStudio(t, { timeLimit: { cpuMs: 120_000, wallMs: 120_000 } });
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

test("a decoder that dies while it is idle is not missed", async (t) => {
  const { make, imager } = await openStudio(t);
  await imager.warmUp();
  const [pid = -1] = imager.pids;
  process.kill(pid, "SIGKILL");
  await until(() => imager.pids.length === 0, "it is missed no more");
  assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
});

test("what is our fault is no fault of the picture", async (t) => {
  const { folder, place, imager, queueEntry, probe } = await openStudio(t);
  const input = await place(await corners(400, 400).jpeg().toBuffer());
  const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
  const outputs = [join(folder, "no such folder", "output")];
  const job = { input, outputs, formats: FORMATS, spec, stillFrame: 0, allowAnimated: true };
  await assert.rejects(imager.render(job, queueEntry(), new AbortController().signal), {
    name: "Error",
    code: "ENOENT",
  });
  await assert.rejects(probe(join(folder, "nothing")), { code: "ENOENT" });
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
