import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PictureError } from "../../../origin/imaging/imaging_errors.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import { isFailure } from "../../../shared/matrix/failure.ts";
import { isAlive } from "../../support/is_alive.ts";
import { until } from "../../support/until.ts";
import { slowSvg } from "./support/hostile_files.ts";
import { keepBusy } from "./support/keep_busy.ts";
import { corners } from "./support/pictures.ts";
import { openStudio } from "./support/studio.ts";
import { untilLongDrawing } from "./support/until_drawing.ts";

/** Decoders that end while they draw: by whose hand, and whether the picture is to blame. */

const skip = !existsSync("/proc/self/stat") && "there is no /proc";
const RETRY_MS = 2_000;

function isOurs(error: unknown): boolean {
  return isFailure(error, "busy") && !(error instanceof PictureError);
}

function isPictures(trouble: string) {
  return (error: unknown) => error instanceof PictureError && error.trouble === trouble && error.kind === "unreadable";
}

describe("a decoder that ends while it draws", { skip }, () => {
  test("by somebody else's signal costs a second try, and nobody notices", async (t) => {
    const studio = await openStudio(t);
    const { pid, running } = await keepBusy(studio, {}, 5);
    process.kill(pid, "SIGKILL");
    const { rendered } = await running;
    assert.equal(rendered.kind, "image");
    assert.notEqual(studio.imager.pids[0], pid);
  });

  test("by somebody else's signal twice is busy with a time to retry, and is not held against the picture", async (t) => {
    const studio = await openStudio(t);
    const { pid, running } = await keepBusy(studio);
    process.kill(pid, "SIGTERM");
    const next = await until(() => studio.imager.pids.find((one) => one !== pid), "another decoder is started");
    await untilLongDrawing(next);
    process.kill(next, "SIGKILL");
    await assert.rejects(running, (error) => isOurs(error) && toMatrixError(error).retryAfterMs === RETRY_MS);
    assert.deepEqual(await readdir(studio.folder), ["source-0"]);
  });

  test("by a crash twice, in fresh processes, is the picture's fault", async (t) => {
    const studio = await openStudio(t);
    const { pid, running } = await keepBusy(studio);
    process.kill(pid, "SIGSEGV");
    const next = await until(() => studio.imager.pids.find((one) => one !== pid), "another decoder is started");
    await untilLongDrawing(next);
    process.kill(next, "SIGABRT");
    await assert.rejects(running, isPictures("crash"));
    assert.equal((await studio.make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
  });

  test("by a crash once may be chance", async (t) => {
    const studio = await openStudio(t);
    const { pid, running } = await keepBusy(studio, {}, 5);
    process.kill(pid, "SIGSEGV");
    assert.equal((await running).rendered.kind, "image");
  });

  for (const [seen, options] of [
    ["from outside", {}],
    ["as it says itself", { readProcessUsage: () => undefined }],
  ] as const) {
    test(`for having had too much processor time, seen ${seen}, is the picture's fault, at once`, async (t) => {
      const { place, renderFile } = await openStudio(t, { timeLimit: { cpuMs: 500, wallMs: 60_000 }, ...options });
      await assert.rejects(renderFile(await place(slowSvg())), isPictures("time"));
    });
  }

  test("for not having been given the processor is not the picture's fault", async (t) => {
    const { place, renderFile } = await openStudio(t, { timeLimit: { cpuMs: 60_000, wallMs: 300 } });
    await assert.rejects(
      renderFile(await place(slowSvg())),
      (error) => error instanceof PictureError && error.trouble === "slow" && error.kind === "busy",
    );
  });
});

test("decoders killed at random while many pictures are drawn: each is made or busy, and no process is left", {
  skip,
}, async (t) => {
  const { imager, place, renderFile, make } = await openStudio(t, { processes: 3, queueLength: 100 });
  const path = await place(await corners(2000, 1500).png().toBuffer());
  const seen = new Set<number>();
  let over = false;
  const killing = (async () => {
    for (let kills = 0; kills < 25 && !over; kills += 1) {
      const pids = imager.pids.filter(isAlive);
      for (const pid of pids) seen.add(pid);
      const victim = pids[Math.floor(Math.random() * pids.length)];
      if (victim !== undefined) process.kill(victim, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 200));
    }
  })();
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, () =>
      renderFile(path).then(
        ({ rendered }) => rendered.kind,
        (error) => (isOurs(error) ? "busy" : String(error)),
      ),
    ),
  );
  over = true;
  await killing;
  assert.deepEqual(
    outcomes.filter((one) => one !== "image" && one !== "busy"),
    [],
  );
  assert.equal((await make(await corners(400, 400).jpeg().toBuffer())).kind, "image");
  const { pids } = imager;
  await imager.close();
  for (const pid of pids) seen.add(pid);
  await until(() => [...seen].filter(isAlive).length === 0, "all have ended");
});

test("where no process can be started it is busy, and is drawn once one can", { skip }, async (t) => {
  const { folder, place } = await openStudio(t);
  const program = fileURLToPath(new URL("./support/no_descriptors.ts", import.meta.url));
  const input = await place(await corners(400, 400).jpeg().toBuffer());
  const script = 'ulimit -n 128 && exec "$0" "$@"';
  const child = spawn("/bin/sh", ["-c", script, process.execPath, program, input, join(folder, "output")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said: string[] = [];
  child.stdout.on("data", (text) => said.push(String(text)));
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(said.join("")), ["busy", "image"]);
});
