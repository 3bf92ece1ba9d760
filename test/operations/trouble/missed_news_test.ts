import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startOrigin, type TestOrigin } from "../../support/app.ts";
import { databaseKinds, newDatabase } from "../../support/database.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { layWire, type Wire } from "../../support/wire.ts";

/** What one process of several does when its connection to the database was away while another told it something. */

const skip = databaseKinds().find((kind) => kind.name === "postgres")?.skip ?? false;
const CONFIG = "/_matrix/client/v1/media/config";
const TOKEN = "token";

describe("news from another process that were missed", { skip }, () => {
  const lifetime = lifetimeOfSuite();
  let homeserver: FakeHomeserver;
  let wire: Wire;
  let near: TestOrigin;
  let far: TestOrigin;
  before(async () => {
    homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org", device_id: "D" } });
    lifetime.after(() => homeserver.close());
    const database = await newDatabase(4);
    lifetime.after(() => database.drop());
    wire = await layWire(lifetime, database.url);
    const homeservers = { "example.org": homeserver.url };
    const overrides = { recheckMs: 3_600_000 };
    near = await startOrigin(lifetime, { homeservers, postgres: database.url, overrides });
    far = await startOrigin(lifetime, { homeservers, postgres: wire.url, folder: near.folder, overrides });
  });

  const status = async (origin: TestOrigin, token: string) => (await ask(origin.url, CONFIG, { token })).status;

  async function eventually(condition: () => Promise<boolean>): Promise<void> {
    for (let waited = 0; waited < 60_000; waited += 50) {
      if (await condition()) return;
      await sleep(50);
    }
    assert.fail("it did not happen");
  }

  test("a logout: the token is asked for anew, and refused", async () => {
    homeserver.accounts.set("leaving", { user_id: "@leaving:example.org", device_id: "D" });
    assert.deepEqual([await status(near, "leaving"), await status(far, "leaving")], [200, 200]);
    wire.cut();
    const out = await ask(near.url, "/_matrix/client/v3/logout", { method: "POST", token: "leaving", body: "{}" });
    assert.equal(out.status, 200);
    assert.equal(await status(near, "leaving"), 401);
    wire.mend();
    await eventually(async () => (await status(far, "leaving")) === 401);
  });

  test("a logout while the homeserver is being asked: its answer is not remembered", async () => {
    homeserver.accounts.set("racing", { user_id: "@racing:example.org", device_id: "D" });
    assert.equal(await status(near, "racing"), 200);
    homeserver.delayMs = 5_000;
    const asked = homeserver.asked.length;
    const underWay = status(far, "racing");
    await eventually(async () => homeserver.asked.length > asked);
    homeserver.delayMs = 0;
    wire.cut();
    const out = await ask(near.url, "/_matrix/client/v3/logout", { method: "POST", token: "racing", body: "{}" });
    assert.equal(out.status, 200);
    wire.mend();
    await underWay;
    await eventually(async () => (await status(far, "racing")) === 401);
  });

  test("an upload: who waits for it is answered", async () => {
    const created = await ask(near.url, "/_matrix/media/v1/create", { method: "POST", token: TOKEN });
    const uri = String(jsonOf(created).content_uri).replace("mxc://", "");
    const path = `/_matrix/client/v1/media/download/${uri}`;
    const waiting = ask(far.url, `${path}?timeout_ms=600000`, { token: TOKEN });
    await eventually(async () => /^media_upload_waiters 1$/m.test((await far.app.metrics.page()).body));
    wire.cut();
    const body = Buffer.from("at last ".repeat(50));
    const put = await ask(near.url, `/_matrix/media/v3/upload/${uri}`, { method: "PUT", token: TOKEN, body });
    assert.equal(put.status, 200);
    wire.mend();
    assert.deepEqual((await waiting).body, body);
  });

  test("a deletion: what was read before is read anew", async () => {
    const id = await upload(near.url, TOKEN, "soon gone ".repeat(50));
    const path = `/_matrix/client/v1/media/download/${id}`;
    assert.equal((await ask(far.url, path, { token: TOKEN })).status, 200);
    wire.cut();
    assert.equal(
      (await ask(near.url, path.replace("client/v1/media", "media/unstable"), { method: "DELETE", token: TOKEN }))
        .status,
      200,
    );
    wire.mend();
    await eventually(async () => (await ask(far.url, path, { token: TOKEN })).status === 404);
  });
});
