import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { KeySet } from "../../origin/matrix/key_answer.ts";
import { type KeyStore, makeServerKeys, type ServerKeys } from "../../origin/matrix/server_keys.ts";
import { MatrixError } from "../../shared/matrix_error.ts";
import { importSeed, signJson } from "../../shared/sign_json.ts";
import { type FederationPeer, startPeer } from "../support/federation_peer.ts";

const DAY = 24 * 3_600_000;
const WEEK = 7 * DAY;
const first = await importSeed(new Uint8Array(32).fill(1));
const second = await importSeed(new Uint8Array(32).fill(2));
const KEY = "ed25519:1";
const OTHER = "ed25519:2";

let peer: FederationPeer;
let keys: ServerKeys;
before(async () => {
  peer = await startPeer({ backoffAt: 1000 });
});
after(() => peer.close());
beforeEach(() => {
  peer.nowMs += 10 * WEEK;
  peer.listener.asked.length = 0;
  keys = makeServerKeys({ federationFetch: peer.federationFetch, clock: () => peer.nowMs });
});

interface Claims {
  server_name?: string;
  valid_until_ts?: number;
  verify_keys?: Record<string, { key: string }>;
  old_verify_keys?: object;
  [more: string]: unknown;
}

async function signed(
  claims: Claims = {},
  signer = first,
  signerId = KEY,
  entity = peer.name,
): Promise<Record<string, unknown>> {
  const object = {
    server_name: peer.name,
    valid_until_ts: peer.nowMs + DAY,
    verify_keys: { [KEY]: { key: first.publicKey } },
    old_verify_keys: {},
    ...claims,
  };
  return await signJson(object, entity, signerId, signer.privateKey);
}

function answerWith(body: unknown, status = 200): void {
  peer.answer = (_, response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function errorOf(work: Promise<unknown>): Promise<MatrixError> {
  const error = await work.then(
    () => assert.fail("it succeeded"),
    (thrown) => thrown,
  );
  assert.ok(error instanceof MatrixError, String(error));
  return error;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; !(await condition()); round += 1) {
    assert.ok(round < 400, "it never came to pass");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a key is fetched from the server itself, unsigned, and remembered", async () => {
  answerWith(await signed({ unknown: { kept: true } }));
  const found = await keys.find(peer.name, KEY);
  assert.deepEqual(found, {
    serverName: peer.name,
    keyId: KEY,
    publicKey: first.publicKey,
    validUntilMs: peer.nowMs + DAY,
  });
  await keys.find(peer.name, KEY);
  assert.deepEqual(peer.listener.asked, [`GET ${peer.name} /_matrix/key/v2/server`]);
});

test("a key is good for a week at most, and not beyond its own time", async () => {
  answerWith(await signed({ valid_until_ts: peer.nowMs + 100 * DAY }));
  assert.equal((await keys.find(peer.name, KEY))?.validUntilMs, peer.nowMs + WEEK);
  peer.nowMs += WEEK;
  answerWith({}, 500);
  assert.equal((await errorOf(keys.find(peer.name, KEY))).status, 502);
});

test("halfway to its end a key is fetched again without anybody waiting", async () => {
  answerWith(await signed());
  await keys.find(peer.name, KEY);
  peer.nowMs += DAY / 2;
  answerWith({}, 500);
  assert.ok(await keys.find(peer.name, KEY), "it is still good though it can't be fetched");
  await until(() => peer.listener.asked.length === 2);
  await new Promise((resolve) => setTimeout(resolve, 50));
  peer.nowMs += 60_000;
  answerWith(await signed());
  await until(async () => (await keys.find(peer.name, KEY))?.validUntilMs === peer.nowMs + DAY);
  assert.equal(peer.listener.asked.length, 3);
});

test("an answer that can't be trusted is 502, with the reason as cause", async () => {
  const untrusted: [string, unknown][] = [
    ["another server", await signed({ server_name: "other.example" })],
    ["expired", await signed({ valid_until_ts: peer.nowMs })],
    ["not signed", { ...(await signed()), signatures: {} }],
    ["signed by another key", await signed({}, second)],
    ["signed by another server", await signed({}, first, KEY, "other.example")],
    ["changed afterwards", { ...(await signed()), valid_until_ts: peer.nowMs + 2 * DAY }],
    ["no keys", await signed({ verify_keys: {} })],
    [
      "only old keys",
      await signed({ verify_keys: {}, old_verify_keys: { [KEY]: { key: first.publicKey, expired_ts: 1 } } }),
    ],
    ["short key", await signed({ verify_keys: { [KEY]: { key: "AAAA" } } })],
    ["another algorithm", await signed({ verify_keys: { "rsa:1": { key: first.publicKey } } }, first, "rsa:1")],
    ["no form", { server_name: peer.name }],
    ["no object", []],
    ["text for a time", await signed({ valid_until_ts: "soon" as unknown as number })],
  ];
  for (const [name, body] of untrusted) {
    const fresh = makeServerKeys({ federationFetch: peer.federationFetch, clock: () => peer.nowMs });
    answerWith(body);
    const error = await errorOf(fresh.find(peer.name, KEY));
    assert.deepEqual([error.status, error.errcode], [502, "M_UNKNOWN"], name);
    assert.ok(error.cause instanceof Error, name);
  }
});

test("outages, endless answers and refusals are 502 too", async () => {
  const outages: FederationPeer["answer"][] = [
    (request) => request.socket.destroy(),
    (_, response) => response.end("<html>"),
    (_, response) => response.writeHead(404).end("{}"),
    (_, response) => response.end(JSON.stringify({ x: "y".repeat(200_000) })),
    (_, response) => response.writeHead(302, { location: "/elsewhere" }).end(),
  ];
  for (const outage of outages) {
    const fresh = makeServerKeys({ federationFetch: peer.federationFetch, clock: () => peer.nowMs });
    peer.answer = outage;
    assert.equal((await errorOf(fresh.find(peer.name, KEY))).status, 502);
  }
});

test("only a key that signed the answer itself counts", async () => {
  answerWith(await signed({ verify_keys: { [KEY]: { key: first.publicKey }, [OTHER]: { key: second.publicKey } } }));
  assert.ok(await keys.find(peer.name, KEY));
  assert.equal(await keys.find(peer.name, OTHER), undefined);
});

test("a key id that the server does not have is asked for once a minute", async () => {
  answerWith(await signed());
  assert.equal(await keys.find(peer.name, OTHER), undefined);
  for (let round = 0; round < 10; round += 1) assert.equal(await keys.find(peer.name, OTHER), undefined);
  assert.equal(await keys.find(peer.name, "__proto__"), undefined);
  assert.equal(peer.listener.asked.length, 1);
  peer.nowMs += 60_000;
  answerWith(await signed({ verify_keys: { [OTHER]: { key: second.publicKey } } }, second, OTHER));
  assert.equal((await keys.find(peer.name, OTHER))?.publicKey, second.publicKey);
  assert.equal(await keys.find(peer.name, KEY), undefined, "a key that was withdrawn is gone");
  assert.equal(peer.listener.asked.length, 2);
});

test("after a failure the server is left alone, for longer each time", async () => {
  answerWith({}, 500);
  const waits: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    const before = peer.listener.asked.length;
    await errorOf(keys.find(peer.name, KEY));
    assert.equal(peer.listener.asked.length, before + 1);
    const error = await errorOf(keys.find(peer.name, KEY));
    assert.equal(peer.listener.asked.length, before + 1);
    waits.push(error.retryAfterMs ?? 0);
    peer.nowMs += error.retryAfterMs ?? 0;
  }
  assert.deepEqual(
    waits,
    [10, 20, 40, 80, 160, 320, 600, 600].map((seconds) => seconds * 1000),
  );
  answerWith(await signed());
  assert.ok(await keys.find(peer.name, KEY));
});

test("many requests of one server at once cost one fetch", async () => {
  answerWith(await signed());
  const found = await Promise.all(Array.from({ length: 100 }, () => keys.find(peer.name, KEY)));
  assert.ok(found.every((key) => key?.publicKey === first.publicKey));
  assert.equal(peer.listener.asked.length, 1);
});

test("key sets are shared through the store, which may fail", async () => {
  const stored = new Map<string, KeySet>();
  const store: KeyStore = {
    read: async (serverName) => stored.get(serverName),
    write: async (keySet) => void stored.set(keySet.serverName, keySet),
  };
  const parts = { federationFetch: peer.federationFetch, clock: () => peer.nowMs };
  const [one, two] = [makeServerKeys({ ...parts, store }), makeServerKeys({ ...parts, store })];
  answerWith(await signed());
  assert.ok(await one.find(peer.name, KEY));
  assert.ok(await two.find(peer.name, KEY));
  assert.equal(peer.listener.asked.length, 1);
  peer.nowMs += 120_000;
  answerWith(await signed({ verify_keys: { [OTHER]: { key: second.publicKey } } }, second, OTHER));
  assert.ok(await one.find(peer.name, OTHER));
  assert.ok(await two.find(peer.name, OTHER), "the newer set is found in the store");
  assert.equal(peer.listener.asked.length, 2);
  const broken: KeyStore = {
    read: () => Promise.reject(new Error("no")),
    write: () => Promise.reject(new Error("no")),
  };
  assert.ok(await makeServerKeys({ ...parts, store: broken }).find(peer.name, OTHER));
});

test("a notary is asked where the server can't be, and believed only with both signatures", async () => {
  const notaryName = `sub.peer.example:${peer.listener.port}`;
  const notary = second;
  const own = await signJson(
    {
      server_name: notaryName,
      valid_until_ts: peer.nowMs + DAY,
      verify_keys: { "ed25519:n": { key: notary.publicKey } },
    },
    notaryName,
    "ed25519:n",
    notary.privateKey,
  );
  const entry = await signed();
  const countersigned = await signJson(entry, notaryName, "ed25519:n", notary.privateKey);
  const forged = await signJson(await signed({}, second), notaryName, "ed25519:n", notary.privateKey);
  let entries: unknown[] = [];
  peer.answer = (request, response) => {
    if (request.headers.host === peer.name) return response.writeHead(500).end();
    if (request.url === "/_matrix/key/v2/server") return response.end(JSON.stringify(own));
    assert.ok(
      request.url?.startsWith(`/_matrix/key/v2/query/${encodeURIComponent(peer.name)}?minimum_valid_until_ts=`),
    );
    return response.end(JSON.stringify({ server_keys: entries }));
  };
  const make = () =>
    makeServerKeys({ federationFetch: peer.federationFetch, clock: () => peer.nowMs, notaries: [notaryName] });
  for (entries of [[], [entry], [forged], [null], [await signJson(own, notaryName, "ed25519:n", notary.privateKey)]]) {
    assert.equal((await errorOf(make().find(peer.name, KEY))).status, 502);
  }
  entries = [forged, countersigned];
  assert.equal((await make().find(peer.name, KEY))?.publicKey, first.publicKey);
});
