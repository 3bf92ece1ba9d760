import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, test } from "node:test";
import { importSeed, signJson, signRequest } from "../../origin/matrix/signing.ts";
import { startStack, type TestStack } from "../support/app.ts";
import { passing } from "../support/clocks.ts";
import { ask, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import {
  json,
  LOOPBACK_FEDERATION,
  makeRemoteWorld,
  type RemoteServer,
  type RemoteWorld,
} from "../support/remote_server.ts";
import { until } from "./stage.ts";

const SERVER = "example.org";
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const lifetime = lifetimeOfSuite();

let world: RemoteWorld;
let stack: TestStack;
let path: string;
let aheadMs = 0;

before(async () => {
  world = makeRemoteWorld(lifetime);
  stack = await startStack(lifetime, {
    serverName: SERVER,
    yaml: `federation: ${LOOPBACK_FEDERATION}`,
    overrides: { outboundCa: world.authority.ca, ...passing(() => aheadMs) },
  });
  const uploaded = await upload(stack.tiers.origin, "token_of_user", "ours ".repeat(50), { type: "text/plain" });
  path = `/_matrix/federation/v1/media/download/${uploaded.split("/")[1]}`;
});

/** Lets the origin think that it is later: it and the edge believe each other only while their clocks agree. */
async function whileAhead<T>(ms: number, work: () => Promise<T>): Promise<T> {
  aheadMs = ms;
  try {
    return await work();
  } finally {
    aheadMs = 0;
  }
}

const askWith = (tier: "origin" | "edge", authorization: string) =>
  ask(stack.tiers[tier], path, { headers: { authorization } });

/** What the bucket holds of a server's keys, by key id. */
async function published(server: RemoteServer): Promise<Record<string, { gen: number; gone?: true }>> {
  const { objects } = await stack.edge.bucket.list({ prefix: `k/${server.name}/` });
  const found = await Promise.all(
    objects.map(async ({ key }) => {
      const text = await (await stack.edge.bucket.get(key))?.text();
      return [key.split("/")[2], JSON.parse(text ?? "null")];
    }),
  );
  return Object.fromEntries(found);
}

/** Asks until the edge judges such requests by itself. */
async function makeKnown(authorization: string): Promise<void> {
  await until(async () => {
    const { status, headers } = await askWith("edge", authorization);
    assert.equal(status, 200);
    return headers["cache-status"]?.includes("hit") === true;
  });
}

/** The server puts its key aside and signs with another from now on: the header of its next request. */
async function rotate(server: RemoteServer): Promise<string> {
  const { privateKey, publicKey } = await importSeed(new Uint8Array(randomBytes(32)));
  const answer = await signJson(
    {
      server_name: server.name,
      valid_until_ts: Date.now() + 7 * DAY_MS,
      verify_keys: { "ed25519:next": { key: publicKey } },
      old_verify_keys: { [server.keyId]: { key: server.publicKey, expired_ts: Date.now() } },
    },
    server.name,
    "ed25519:next",
    privateKey,
  );
  server.instead.set("/_matrix/key/v2/server", (_, response) => json(response, 200, answer));
  const request = { method: "GET", uri: path, origin: server.name, destination: SERVER };
  return await signRequest(request, "ed25519:next", privateKey);
}

test("a key that its server has withdrawn is void at both tiers once the origin has learnt of it, and that is noted", async () => {
  const server = await world.start();
  const old = await server.sign(SERVER, path);
  await makeKnown(old);
  const next = await rotate(server);
  // A key id that is not known is asked for once a minute.
  await whileAhead(MINUTE_MS, async () => {
    assert.equal((await askWith("origin", next)).status, 200);
    assert.equal((await askWith("origin", old)).status, 401);
  });
  await until(async () => (await askWith("edge", old)).status === 401);
  const keys = await published(server);
  assert.equal(keys[server.keyId]?.gone, true);
  assert.equal(keys["ed25519:next"]?.gone, undefined);
  const { rows } = await stack.origin.app.db.query("SELECT key FROM edge_outbox WHERE key LIKE 'k/%'");
  assert.deepEqual(rows, [{ key: `k/${server.name}/${server.keyId}` }]);
  await makeKnown(next);
});

test("keys that nobody has needed for a day leave the bucket", async () => {
  const server = await world.start();
  await makeKnown(await server.sign(SERVER, path));
  await stack.origin.app.jobs.runNow("sweep_server_keys");
  assert.deepEqual(Object.keys(await published(server)), [server.keyId]);
  await whileAhead(DAY_MS, () => stack.origin.app.jobs.runNow("sweep_server_keys"));
  assert.deepEqual(await published(server), {});
});
