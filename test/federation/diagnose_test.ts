import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ask, jsonOf } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { type Behaviour, json } from "../support/remote_server.ts";
import { openStage, SERVER, type Stage, USER } from "./stage.ts";

const lifetime = lifetimeOfSuite();
const ADMIN = "token_of_admin";
let stage: Stage;

before(async () => {
  stage = await openStage(lifetime);
});

const path = (name: string, version = "unstable") => `/_matrix/media/${version}/admin/federation/test/${name}`;

test("the test of federation tells how a server was found, what it answers, and that it knows our key", async () => {
  for (const version of ["unstable", "unstable/io.t2bot.media"]) {
    const heard = await ask(stage.url, path(stage.remote.name, version), { token: ADMIN });
    assert.equal(heard.status, 200, heard.body.toString());
    const told = jsonOf(heard);
    assert.equal(told.base_url, `https://${stage.remote.name}`);
    assert.equal(told.hostname, stage.remote.name);
    assert.deepEqual(told.versions_response, { server: { name: "remote" } });
    assert.equal(told.resolved_by_step, "1");
    assert.deepEqual((told.server_keys as { key_ids: string[] }).key_ids, [stage.remote.keyId]);
    assert.equal((told.our_key as { accepted: boolean }).accepted, true);
    assert.equal(typeof (told.our_key as { took_ms: number }).took_ms, "number");
  }
});

test("it tells where a server does not know our key, and what it says to that", async () => {
  const other = await stage.world.start();
  other.known.set(SERVER, stage.remote.publicKey);
  const told = jsonOf(await ask(stage.url, path(other.name), { token: ADMIN }));
  const { accepted, answer } = told.our_key as { accepted: boolean; answer: string };
  assert.equal(accepted, false);
  assert.match(answer, /^401 .*M_UNAUTHORIZED/);
});

test("a server that cannot be reached is told with the reason", async () => {
  const gone = await stage.world.start();
  await gone.close();
  const told = jsonOf(await ask(stage.url, path(gone.name), { token: ADMIN }));
  assert.equal(told.reachable, false);
  assert.equal(told.versions_response, null);
  const [target] = told.targets as { ok: boolean; error: string }[];
  assert.match(target?.error ?? "", /^connect: .*ECONNREFUSED/);
});

test("what failed for others does not show in it, nor what fails in it for others", async () => {
  const strict = await openStage(lifetime, {
    overrides: { steady: () => 0 },
    federation: "{ allowedNetworks: [127.0.0.0/8], disallowedNetworks: [], backoffAt: 1 }",
  });
  const { remote } = strict;
  const test = async () => jsonOf(await ask(strict.url, path(remote.name), { token: ADMIN }));
  const down: Behaviour = (_, response) => void response.writeHead(502, { "content-type": "text/html" }).end("down");
  remote.media.set("there", { bytes: Buffer.from("media") });
  remote.instead.set("/", down);
  assert.equal((await test()).reachable, false);
  remote.instead.clear();
  assert.equal((await strict.get("there")).status, 200);
  remote.instead.set("/", down);
  assert.equal((await strict.get("another")).status, 502);
  remote.instead.clear();
  const asked = remote.listener.asked.length;
  assert.equal((await strict.get("third")).status, 502);
  assert.equal(remote.listener.asked.length, asked, "it is left alone");
  const told = await test();
  assert.deepEqual((told.server_keys as { key_ids: string[] }).key_ids, [remote.keyId]);
  assert.equal((told.our_key as { accepted: boolean }).accepted, true);
});

test("a server without the endpoint has shown nothing of our key", async () => {
  const old = await stage.world.start();
  old.instead.set("/_matrix/federation/v1/media", (_, response) => {
    json(response, 404, { errcode: "M_UNRECOGNIZED", error: "?" });
  });
  const told = jsonOf(await ask(stage.url, path(old.name), { token: ADMIN }));
  const { accepted, answer } = told.our_key as { accepted: boolean; answer: string };
  assert.equal(accepted, false);
  assert.match(answer, /^404 .*M_UNRECOGNIZED/);
});

test("nobody but administrators of the repository may ask, and only for server names", async () => {
  assert.equal((await ask(stage.url, path(stage.remote.name))).status, 401);
  assert.equal((await ask(stage.url, path(stage.remote.name), { token: USER })).status, 403);
  for (const name of ["a b", "%00", "%zz", "..%2f"]) {
    assert.equal((await ask(stage.url, path(encodeURI(name)), { token: ADMIN })).status, 400, name);
  }
});
