import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startOrigin } from "../../support/app.ts";
import { passing } from "../../support/clocks.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";

const DAY_MS = 86_400_000;
const TOKEN = "token";

/** A lifetime that a test ends itself. */
function ownLifetime(): Lifetime & { end(): Promise<void> } {
  const closers: (() => unknown)[] = [];
  return {
    after: (close) => void closers.push(close),
    async end() {
      for (const close of closers.reverse()) await close();
    },
  };
}

test("a folder of media that a new, empty database is pointed at loses nothing, and the old one finds all of it", async (t) => {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  t.after(() => homeserver.close());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(folder, { recursive: true }));
  let aheadMs = 0;
  const open = async (database: string) => {
    const lifetime = ownLifetime();
    const stores = `datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]`;
    const origin = await startOrigin(lifetime, {
      homeservers: { "example.org": homeserver.url },
      folder: `${folder}/${database}`,
      files: [{ name: "stores.yaml", text: stores }],
      overrides: { ...passing(() => aheadMs), graceMs: 0, orphanAgeMs: 0 },
    });
    const runJobs = async () => {
      for (const job of ["watch_datastores", "clean_staging", "reap", "remove_unfinished", "reap"]) {
        await origin.app.jobs.runNow(job);
      }
    };
    return { ...origin, runJobs, end: () => lifetime.end() };
  };
  const bodies = async () => (await listFiles(`${folder}/media`)).length;

  const first = await open("first");
  const ids: string[] = [];
  for (let n = 0; n < 20; n += 1) ids.push(await upload(first.url, TOKEN, Buffer.alloc(1_000, n)));
  await first.end();
  assert.equal(await bodies(), 20);

  const second = await open("second");
  for (let n = 100; n < 103; n += 1) await upload(second.url, TOKEN, Buffer.alloc(1_000, n));
  aheadMs = 2 * DAY_MS;
  await second.runJobs();
  await second.end();
  assert.equal(await bodies(), 23);

  const again = await open("first");
  await again.runJobs();
  assert.equal(await bodies(), 23);
  for (const [n, id] of ids.entries()) {
    const heard = await ask(again.url, `/_matrix/client/v1/media/download/${id}`, { token: TOKEN });
    assert.ok(heard.body.equals(Buffer.alloc(1_000, n)));
  }
  await again.end();
});
