import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { putPglite } from "../../support/database.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";

/** Real disks that are full, or may not be written to: small ones in memory, which only root may mount. */

const USER = "token_of_user";
const mountable = process.getuid?.() === 0 && tryMount();
const skip = mountable ? false : "only root may mount a small disk, and not everywhere";

function mount(folder: string, options: string): boolean {
  return spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]).status === 0;
}

/** In a mount namespace of its own: nothing is left of it. */
function tryMount(): boolean {
  return spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;
}

async function makeDisk(t: Lifetime, folder: string, size: string) {
  await mkdir(folder, { recursive: true });
  assert.ok(mount(folder, `size=${size}`), "mounted");
  t.after(() => spawnSync("umount", ["-l", folder]));
  return {
    remount: (options: string) => assert.equal(spawnSync("mount", ["-o", `remount,${options}`, folder]).status, 0),
    ballast: join(folder, "ballast"),
    async fill() {
      await assert.rejects(writeFile(join(folder, "ballast"), Buffer.alloc(200_000_000)), { code: "ENOSPC" });
    },
  };
}

function isTrouble(heard: Heard, status: number): void {
  assert.equal(heard.status, status, heard.body.toString("latin1").slice(0, 200));
  assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
  assert.ok(Number(heard.headers["retry-after"]) > 0);
}

/** A lifetime that ends in reverse: the origin before its disk, and that before the folder. */
function reversed(t: Lifetime): Lifetime {
  const closers: (() => unknown)[] = [];
  t.after(async () => {
    for (const close of closers.reverse()) await close();
  });
  return { after: (close) => void closers.push(close) };
}

async function makePlace(t: Lifetime) {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { homeservers: { "example.org": homeserver.url }, folder };
}

test("a disk of media that is full is 507, one that is read-only 503; what lies there is served", {
  skip,
}, async (context) => {
  const t = reversed(context);
  const { homeservers, folder } = await makePlace(t);
  const media = join(folder, "media");
  await putPglite(join(folder, "db"));
  const disk = await makeDisk(t, media, "8m");
  const origin = await startOrigin(t, { homeservers, folder });
  const send = (bytes: number) =>
    ask(origin.url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body: randomBytes(bytes) });
  const id = await upload(origin.url, USER, randomBytes(5_000));
  await disk.fill();
  const there = (await listFiles(media)).sort();
  for (const bytes of [500, 100_000, 1_000_000]) isTrouble(await send(bytes), 507);
  assert.deepEqual((await listFiles(media)).sort(), there, "nothing is left of what could not be stored");
  assert.equal((await ask(origin.url, `/_matrix/client/v1/media/download/${id}`, { token: USER })).status, 200);
  await rm(disk.ballast);
  assert.equal((await send(500)).status, 200);
  disk.remount("ro");
  isTrouble(await send(500), 503);
  assert.equal((await ask(origin.url, `/_matrix/client/v1/media/download/${id}`, { token: USER })).status, 200);
  disk.remount("rw");
  assert.equal((await send(500)).status, 200);
  assert.deepEqual(await listFiles(join(media, ".staging")), []);
});

test("a disk of the embedded database that is full is 507 until there is room", { skip }, async (context) => {
  const t = reversed(context);
  const { homeservers, folder } = await makePlace(t);
  const disk = await makeDisk(t, join(folder, "db"), "64m");
  await putPglite(join(folder, "db"));
  const origin = await startOrigin(t, { homeservers, folder });
  const send = () =>
    ask(origin.url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body: randomBytes(500) });
  assert.equal((await send()).status, 200);
  await disk.fill();
  await assert.rejects(
    origin.app.db.query("CREATE TABLE more AS SELECT repeat(n::text, 500) FROM generate_series(1, 20000) AS n"),
    { kind: "no_room" },
  );
  await rm(disk.ballast);
  assert.equal((await send()).status, 200);
});
