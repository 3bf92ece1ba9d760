import assert from "node:assert/strict";
import { test } from "node:test";
import { openStream } from "../../federation/stage.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { type OriginProcess, startOriginProcess } from "../../support/origin_process.ts";
import { until } from "../../support/until.ts";

/** What happens that nobody has foreseen ends the process, in order and with a code by which its supervisor starts it again. */

const SERVER = "example.org";
const USER = "token";
const BODY = Buffer.alloc(20_000_000, "large ");
const EXIT_CODE = 70;

async function start(lifetime: Lifetime, env: Record<string, string> = {}): Promise<OriginProcess> {
  const homeserver = await startHomeserver({ [USER]: { user_id: `@user:${SERVER}` } });
  lifetime.after(() => homeserver.close());
  return await startOriginProcess(lifetime, {
    preload: new URL("../../support/planted_error.ts", import.meta.url),
    env: () => env,
    yaml: (folder) => `
homeservers: [{ name: ${SERVER}, csApi: "${homeserver.url}" }]
uploads: { maxBytes: 50000000 }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
`,
  });
}

test("an unexpected error is logged and counted, what is under way gets its time, and the process ends with a code of its own", async (t) => {
  const origin = await start(t);
  const id = await upload(origin.url, USER, BODY);
  const slow = await openStream(origin.url, `/_matrix/client/v1/media/download/${id}`, { token: USER, paused: true });
  const seen = until(async () => (await origin.metric("mxcdn_unexpected_errors_total")) === 1, "it was not counted");
  origin.child.kill("SIGUSR2");
  await seen;
  await assert.rejects(ask(origin.url, "/healthz"), "no new connection is taken");
  // Only now the client reads what it has asked for before.
  let received = 0;
  for await (const chunk of slow.response) received += chunk.length;
  assert.equal(received, BODY.byteLength, "a download under way comes to its end");
  assert.deepEqual(await origin.ended, { code: EXIT_CODE, signal: null });
  assert.match(origin.said(), / ERROR unexpected error: .* error="Error: planted, of no request/);
});

for (const planted of ["throw", "reject"] as const) {
  test(`an unexpected error out of a request (${planted}) is logged with that request`, async (t) => {
    const origin = await start(t, { PLANTED: planted });
    await upload(origin.url, USER, Buffer.alloc(400_000, "small ")).catch(() => undefined);
    assert.deepEqual(await origin.ended, { code: EXIT_CODE, signal: null });
    const [, id] =
      / ERROR unexpected error: .* id="([^"]+)" method="POST" route="\/_matrix\/media\/v3\/upload" error="Error: planted, of a request/.exec(
        origin.said(),
      ) ?? [];
    assert.ok(id, origin.said().slice(-2_000));
    assert.ok(origin.said().includes(` INFO answered id="${id}" action="upload"`), "the request itself was answered");
  });
}
