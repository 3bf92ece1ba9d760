import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startOrigin, startStack } from "../support/app.ts";
import { passing } from "../support/clocks.ts";
import { databaseKinds, newDatabase } from "../support/database.ts";
import { ask, type Heard, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import { LOOPBACK_FEDERATION, makeOwnKey, makeRemoteWorld } from "../support/remote_server.ts";
import { requestsSeen } from "../support/requests_seen.ts";
import { openStage, SERVER, until, userToken } from "./stage.ts";

const DOWNLOAD = "/_matrix/federation/v1/media/download/";
const skip = databaseKinds().find((kind) => kind.name === "postgres")?.skip ?? false;
const allOk = (heard: readonly Heard[]) => heard.every(({ status }) => status === 200);

describe("many who want the same at once", () => {
  test("#181 50 users asking for one new remote media: one fetch, one row, no error", async (t) => {
    const { remote, origin, url, path, rows } = await openStage(t, { users: 50 });
    const bytes = Buffer.alloc(300_000, "wanted by all ");
    remote.media.set("wanted", { bytes, type: "text/plain" });
    const heard = await Promise.all(
      Array.from({ length: 50 }, (_, which) => ask(url, path("wanted"), { token: userToken(which + 1) })),
    );
    assert.ok(allOk(heard), heard.map(({ status }) => status).join());
    assert.ok(heard.every(({ body }) => body.equals(bytes)));
    assert.equal(remote.asked(DOWNLOAD), 1);
    // The last of them has its bytes a moment before the media is recorded.
    await until(async () => (await origin.app.db.query("SELECT FROM leases")).rows.length === 0);
    assert.equal((await rows()).length, 1);
  });

  test("50 users asking two processes: one fetch, one row, no error, 10 of 10 times", { skip }, async (t) => {
    const database = await newDatabase(8);
    const closers: (() => unknown)[] = [() => database.drop()];
    t.after(async () => {
      for (const close of closers.reverse()) await close();
    });
    const lifetime = { after: (close: () => unknown) => void closers.push(close) };
    // Whoever is not told of the end of a fetch looks for himself when this test is long over.
    const overrides = { recheckMs: 3_600_000 };
    const one = await openStage(lifetime, { users: 50, postgres: database.url, overrides });
    const key = await makeOwnKey(lifetime);
    one.remote.known.clear();
    const other = await startOrigin(lifetime, {
      homeservers: { [SERVER]: one.homeserver.url },
      yaml: `federation: ${LOOPBACK_FEDERATION}\n`,
      files: [key.configure(SERVER)],
      overrides: { ...overrides, outboundCa: one.world.authority.ca },
      postgres: database.url,
      folder: one.origin.folder,
    });
    for (let round = 0; round < 10; round += 1) {
      const id = `round${round}`;
      const bytes = Buffer.alloc(200_000 + round, `wanted in round ${round} `);
      one.remote.media.set(id, { bytes });
      const urls = [one.url, other.url];
      const heard = await Promise.all(
        Array.from({ length: 50 }, (_, which) =>
          ask(urls[which % 2] ?? "", one.path(id), { token: userToken(which + 1) }),
        ),
      );
      assert.ok(allOk(heard), heard.map(({ status, body }) => (status === 200 ? "" : `${status} ${body}`)).join());
      assert.ok(heard.every(({ body }) => body.equals(bytes)));
      assert.equal(one.remote.asked(DOWNLOAD + id), 1);
    }
    const news = Promise.withResolvers<void>();
    await other.app.db.listen("mxcdn_pulled", { onPayload: () => news.resolve(), onReconnect: () => undefined });
    assert.equal((await ask(one.url, one.path("none"), { token: userToken(1) })).status, 404);
    await news.promise;
    assert.equal((await ask(other.url, one.path("none"), { token: userToken(1) })).status, 404);
    assert.equal(one.remote.asked(`${DOWNLOAD}none`), 1, "what failed for one process has failed for the other");
    assert.equal((await one.rows()).length, 10);
  });

  test("a process that dies while it fetches holds up the others only for a while", { skip }, async (t) => {
    const database = await newDatabase(8);
    const closers: (() => unknown)[] = [() => database.drop()];
    t.after(async () => {
      for (const close of closers.reverse()) await close();
    });
    let aheadMs = 0;
    const stage = await openStage(
      { after: (close) => void closers.push(close) },
      { postgres: database.url, overrides: passing(() => aheadMs) },
    );
    stage.remote.media.set("left", { bytes: Buffer.from("left behind") });
    await stage.origin.app.db.query("INSERT INTO leases (name, holder, until) VALUES ($1, 'dead', $2)", [
      `fetch mxc://${stage.remote.name}/left`,
      Date.now() + 20_000,
    ]);
    const asked = stage.get("left");
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(stage.remote.asked(DOWNLOAD), 0);
    aheadMs = 20_001;
    assert.equal((await asked).body.toString(), "left behind");
  });
});

describe("500 signed requests of 50 servers for one new media at once", () => {
  const lifetime = lifetimeOfSuite();

  for (const tier of ["origin", "edge"] as const) {
    test(`one thumbnail is made and one body is read, at the ${tier}`, async () => {
      const world = makeRemoteWorld(lifetime);
      const servers = await Promise.all(Array.from({ length: 50 }, () => world.start()));
      const stack = await startStack(lifetime, {
        yaml: `federation: ${LOOPBACK_FEDERATION}`,
        overrides: { outboundCa: world.authority.ca },
      });
      const base = stack.tiers[tier];
      const id = (
        await upload(stack.tiers.origin, "token_of_user", await makePhoto(800, 600), { type: "image/jpeg" })
      ).split("/")[1];
      const ask500 = async (path: string) => {
        const signed = await Promise.all(servers.map((server) => server.sign("example.org", path)));
        return await Promise.all(
          Array.from({ length: 500 }, (_, which) =>
            ask(base, path, { headers: { authorization: signed[which % 50] ?? "" } }),
          ),
        );
      };
      const path = `/_matrix/federation/v1/media/thumbnail/${id}?width=320&height=240&method=scale`;
      const heard = await ask500(path);
      assert.ok(allOk(heard), heard.map(({ status, body }) => (status === 200 ? "" : `${status} ${body}`)).join(""));
      assert.equal(new Set(heard.map(({ body }) => body.length)).size, 1);
      assert.equal(
        new Set(heard.map(({ headers }) => headers["content-type"])).size,
        500,
        "each has a boundary of its own",
      );
      const page = (await stack.origin.app.metrics.page()).body;
      assert.match(page, /^media_thumbnails_generated_total\{[^}]*\} 1$/m);
      for (const server of servers) assert.equal(server.asked("/_matrix/key"), 1);
      if (tier === "origin") return;
      // By now everything is known to the edge: nobody else is asked, and of all these requests one has read the body.
      const seen = await requestsSeen(stack.origin.app.metrics);
      assert.ok(allOk(await ask500(path)));
      assert.equal(await requestsSeen(stack.origin.app.metrics), seen);
      const after = await stack.edge.bucketReads();
      const bodies = Object.keys(after).filter((key) => key.startsWith("b/"));
      assert.equal(
        bodies.reduce((sum, key) => sum + (after[key] ?? 0), 0),
        1,
      );
    });
  }
});
