import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
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

test("a folder of media that is taken over by a new, empty database loses nothing, and the old one finds all of it", async (t) => {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  t.after(() => homeserver.close());
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(folder, { recursive: true }));
  const said: string[] = [];
  let aheadMs = 0;
  const overrides = {
    ...passing(() => aheadMs),
    log: makeLog({ level: "warn", json: true, write: (line) => void said.push(line) }),
  };
  const open = async (database: string) => {
    const lifetime = ownLifetime();
    const stores = `datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]`;
    const origin = await startOrigin(lifetime, {
      homeservers: { "example.org": homeserver.url },
      folder: `${folder}/${database}`,
      files: [{ name: "stores.yaml", text: stores }],
      overrides,
    });
    return { ...origin, end: () => lifetime.end() };
  };
  const bodies = async () => (await listFiles(`${folder}/media`)).length;

  const first = await open("first");
  const ids: string[] = [];
  for (let n = 0; n < 60; n += 1) ids.push(await upload(first.url, TOKEN, Buffer.alloc(1_000, n)));
  await first.app.jobs.runNow("mark_datastores");
  await first.end();
  assert.equal(await bodies(), 60);

  const second = await open("second");
  for (let n = 100; n < 105; n += 1) await upload(second.url, TOKEN, Buffer.alloc(1_000, n));
  await second.app.jobs.runNow("mark_datastores");
  aheadMs = 2 * DAY_MS;
  await second.app.jobs.runNow("sweep");
  await second.end();
  assert.equal(await bodies(), 65);
  assert.match(said.join(""), /another database keeps media in this datastore too/);

  const again = await open("first");
  await again.app.jobs.runNow("sweep");
  assert.equal(await bodies(), 65);
  for (const [n, id] of ids.entries()) {
    const heard = await ask(again.url, `/_matrix/client/v1/media/download/${id}`, { token: TOKEN });
    assert.ok(heard.body.equals(Buffer.alloc(1_000, n)));
  }
  await again.end();
});
