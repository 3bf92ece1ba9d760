import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startOrigin } from "../support/app.ts";
import { startHomeserver } from "../support/homeserver.ts";
import { ask, jsonOf } from "../support/http.ts";
import { type Lifetime, lifetimeOfSuite } from "../support/lifetime.ts";
import { envelope, json, LOOPBACK_FEDERATION, makeOwnKey } from "../support/remote_server.ts";
import { openStage, openStream, SERVER, USER, until, userToken } from "./stage.ts";

const DOWNLOAD = "/_matrix/federation/v1/media/download/";
const LEGACY = "/_matrix/media/v3/download/";
const MULTIPART = { "content-type": "multipart/mixed; boundary=b0undary" };
const SOME = { bytes: Buffer.from("some bytes of another server") };

describe("the older endpoint", () => {
  test("#171 #172 #173 is asked for only where the newer one is not known, and with allow_remote=false", async (t) => {
    const { remote, get } = await openStage(t);
    const legacy = LEGACY + remote.name;
    remote.instead.set(LEGACY, (request, response) => {
      assert.equal(request.headers.authorization, undefined);
      response.writeHead(200, { "content-type": "text/plain" }).end("from the old path");
    });
    remote.instead.set(`${DOWNLOAD}old`, (_, response) =>
      json(response, 404, { errcode: "M_UNRECOGNIZED", error: "?" }),
    );
    assert.equal((await get("old")).body.toString(), "from the old path");
    const line = remote.listener.asked.find((one) => one.includes(LEGACY)) ?? "";
    assert.match(line, /[?&]allow_remote=false(&|$)/);
    const refusals: [number, string][] = [
      [404, "M_NOT_FOUND"],
      [401, "M_UNAUTHORIZED"],
      [403, "M_FORBIDDEN"],
      [429, "M_LIMIT_EXCEEDED"],
      [500, "M_UNKNOWN"],
    ];
    for (const [status, errcode] of refusals) {
      remote.instead.set(`${DOWNLOAD}no${status}`, (_, response) => json(response, status, { errcode, error: "no" }));
      const heard = await get(`no${status}`);
      assert.equal(heard.status, status === 404 ? 404 : 502);
    }
    assert.equal(remote.asked(legacy), 1);
  });

  test("is all that a homeserver without a signing key can ask", async (t) => {
    const { remote, get } = await openStage(t, { unsigned: true });
    remote.instead.set(LEGACY, (_, response) => void response.writeHead(200).end("unsigned"));
    const heard = await get("plain");
    assert.equal(heard.body.toString(), "unsigned");
    assert.equal(heard.headers["content-type"], "application/octet-stream");
    assert.equal(remote.asked(DOWNLOAD), 0);
  });

  test("of a known length breaks the connection where it does not keep it", async (t) => {
    const { remote, url, path, rows } = await openStage(t, { unsigned: true });
    const gate = Promise.withResolvers<void>();
    remote.instead.set(LEGACY, async (_, response) => {
      response.writeHead(200, { "content-length": "100000" });
      response.write(Buffer.alloc(60_000));
      await gate.promise;
      response.destroy();
    });
    const stream = await openStream(url, path("short"), { token: USER });
    assert.equal(stream.response.headers["content-length"], "100000");
    await stream.received(60_000);
    gate.resolve();
    await assert.rejects(stream.end());
    assert.deepEqual(await rows(), []);
  });
});

describe("servers that are ignored", () => {
  test("are not asked, and what is here of them is not shown, but to administrators", async (t) => {
    const lifetime = t as Lifetime;
    const first = await openStage(lifetime);
    first.remote.media.set("some", SOME);
    assert.equal((await first.get("some")).status, 200);
    first.remote.listener.asked.length = 0;
    const { folder } = first.origin;
    await first.origin.app.close();
    const key = await makeOwnKey(lifetime);
    first.remote.known.set(SERVER, key.publicKey);
    const federation = LOOPBACK_FEDERATION.replace("{", `{ ignoredHosts: ["${first.remote.name.toUpperCase()}"],`);
    const origin = await startOrigin(lifetime, {
      homeservers: { [SERVER]: first.homeserver.url },
      yaml: `federation: ${federation}\nadmins: ["@admin:${SERVER}"]\n`,
      files: [key.configure(SERVER)],
      overrides: { outboundCa: first.world.authority.ca },
      folder,
    });
    first.remote.media.set("other", SOME);
    for (const id of ["some", "other"]) {
      const heard = await ask(origin.url, first.path(id), { token: USER });
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    }
    assert.deepEqual(first.remote.listener.asked, []);
    for (const id of ["some", "other"]) {
      assert.equal((await ask(origin.url, first.path(id), { token: "token_of_admin" })).status, 200);
    }
  });
});

describe("how much is fetched", () => {
  test("at the same time is bounded by numWorkers, for one user by half of what is free; the rest waits", async (t) => {
    const { remote, get, origin } = await openStage(t, { users: 8, more: "downloads: { numWorkers: 4 }" });
    const gate = Promise.withResolvers<void>();
    let running = 0;
    let most = 0;
    remote.instead.set(DOWNLOAD, async (_, response) => {
      running += 1;
      most = Math.max(most, running);
      await gate.promise;
      running -= 1;
      response.writeHead(200, MULTIPART).end(envelope({ bytes: Buffer.from("x") }));
    });
    const all = Array.from({ length: 8 }, (_, which) => get(`greedy${which}`));
    await until(() => running === 2);
    for (let which = 2; which <= 8; which += 1) all.push(get(`modest${which}`, { token: userToken(which) }));
    await until(() => running === 3);
    gate.resolve();
    for (const heard of await Promise.all(all)) assert.equal(heard.status, 200);
    assert.equal(most, 3, "of one host three quarters are fetched");
    const { rows } = await origin.app.db.query("SELECT * FROM leases");
    assert.deepEqual(rows, [], "every turn was given back");
  });

  test("is charged to the user and to the homeserver (CVE-2024-36403, CVE-2024-37302)", async (t) => {
    const { remote, get, rows } = await openStage(t, {
      more: `rateLimit:
  requestsPerSecond: 0
  buckets:
    downloads: { capacityBytes: 0 }
    remoteFetches: { capacityBytes: 10000000, drainBytesPerMinute: 60, overflowLimitBytes: 0 }
`,
    });
    for (let which = 0; which < 4; which += 1) {
      remote.media.set(`m${which}`, { bytes: Buffer.alloc(3_000_000, which) });
    }
    assert.equal((await get("m0")).status, 200);
    assert.equal((await get("m1", { token: userToken(2) })).status, 200);
    // What is left is less than one of them, whoever asks, and however little the other server says of its length.
    const third = await get("m2").catch(() => "broken");
    assert.ok(third === "broken" || (typeof third !== "string" && third.status === 429), JSON.stringify(third));
    const fourth = await get("m3", { token: userToken(2) }).catch(() => "broken");
    assert.ok(fourth === "broken" || (typeof fourth !== "string" && fourth.status === 429));
    assert.equal((await rows()).length, 2);
    assert.equal((await get("m0")).status, 200, "what is here costs no fetch");
  });
});

describe("several homeservers of one repository", () => {
  test("find each other's media without asking anybody", async (t) => {
    const [one, two] = await Promise.all([
      startHomeserver({ token_one: { user_id: "@a:one.example" } }),
      startHomeserver({ token_two: { user_id: "@b:two.example" } }),
    ]);
    t.after(() => Promise.all([one.close(), two.close()]));
    const { url } = await startOrigin(t, { homeservers: { "one.example": one.url, "two.example": two.url } });
    const host = { host: "one.example" };
    const body = "the media of one ".repeat(10);
    const uploaded = await ask(url, "/_matrix/media/v3/upload", {
      method: "POST",
      token: "token_one",
      headers: host,
      body,
    });
    const path = String(jsonOf(uploaded).content_uri).replace("mxc://", "/_matrix/client/v1/media/download/");
    const asTwo = { token: "token_two", headers: { host: "two.example" } };
    assert.equal((await ask(url, path, asTwo)).body.toString(), body);
    assert.equal((await ask(url, `${path}x`, asTwo)).status, 404);
  });

  test("where one is not let in, another may be", async (t) => {
    const stage = await openStage(t);
    const second = await startHomeserver({ token_two: { user_id: "@b:two.example" } });
    t.after(() => second.close());
    const key = await makeOwnKey(t);
    stage.remote.known.set("two.example", key.publicKey);
    stage.remote.known.set(SERVER, key.publicKey);
    stage.remote.media.set("some", SOME);
    const { url } = await startOrigin(t, {
      homeservers: { [SERVER]: stage.homeserver.url, "two.example": second.url },
      yaml: `federation: ${LOOPBACK_FEDERATION}\n`,
      files: [key.configure("two.example")],
      overrides: { outboundCa: stage.world.authority.ca },
    });
    const refused = await ask(url, stage.path("some"), { token: USER, headers: { host: SERVER } });
    assert.notEqual(refused.status, 200);
    const heard = await ask(url, stage.path("some"), { token: "token_two", headers: { host: "two.example" } });
    assert.equal(heard.status, 200);
  });
});

describe("what nobody may reach through us", () => {
  const lifetime = lifetimeOfSuite();
  test("is not reached by the name of a server", async () => {
    const stage = await openStage(lifetime, { federation: "{}" });
    stage.remote.media.set("some", SOME);
    const heard = await stage.get("some");
    assert.equal(heard.status, 502);
    assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    assert.doesNotMatch(heard.body.toString(), /127\.0\.0\.1/);
    assert.equal(stage.remote.listener.connections, 0);
  });
});
