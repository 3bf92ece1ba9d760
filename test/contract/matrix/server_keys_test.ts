import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import {
  type KeyHints,
  ServerKeys,
  type ServerKeysParts,
  type WithdrawnKeys,
} from "../../../origin/matrix/keys/server_keys.ts";
import { importSeed, signJson } from "../../../origin/matrix/signing.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import type { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { type FederationPeer, startPeer } from "../../support/federation_peer.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
const first = await importSeed(new Uint8Array(32).fill(1));
const second = await importSeed(new Uint8Array(32).fill(2));
const KEY = "ed25519:1";
const OTHER = "ed25519:2";
const ASKER = "192.0.2.1";

let peer: FederationPeer;
let keys: ServerKeys;
before(async () => {
  peer = await startPeer({ backoffAt: 1000 });
});
after(() => peer.close());
beforeEach(() => {
  peer.nowMs += 10 * WEEK;
  peer.listener.asked.length = 0;
  keys = makeKeys();
});

let generation = 0;

/** What fetches keys anew, and has nothing from before. */
function makeKeys(more: Partial<ServerKeysParts> = {}): ServerKeys {
  const drawGeneration = async () => ++generation;
  return new ServerKeys({
    federation: peer.federation,
    clock: () => peer.nowMs,
    steady: () => peer.nowMs,
    drawGeneration,
    ...more,
  });
}

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

/** What the client is told. */
async function errorOf(work: Promise<unknown>): Promise<MatrixError> {
  const error = await work.then(
    () => assert.fail("it succeeded"),
    (thrown) => thrown,
  );
  return toMatrixError(error);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; !(await condition()); round += 1) {
    assert.ok(round < 6_000, "it never came to pass");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a key is fetched from the server itself, unsigned, and remembered", async () => {
  answerWith(await signed({ unknown: { kept: true } }));
  const found = await keys.find(peer.name, KEY, ASKER);
  assert.deepEqual(found, {
    serverName: peer.name,
    keyId: KEY,
    publicKey: first.publicKey,
    validUntilMs: peer.nowMs + DAY,
    freshUntilMs: peer.nowMs + HOUR,
    generation,
  });
  await keys.find(peer.name, KEY, ASKER);
  assert.deepEqual(peer.listener.asked, [`GET ${peer.name} /_matrix/key/v2/server`]);
});

test("a key is good for a week at most, and not beyond its own time", async () => {
  answerWith(await signed({ valid_until_ts: peer.nowMs + 100 * DAY }));
  assert.equal((await keys.find(peer.name, KEY, ASKER))?.validUntilMs, peer.nowMs + WEEK);
  peer.nowMs += WEEK;
  answerWith({}, 500);
  assert.equal((await errorOf(keys.find(peer.name, KEY, ASKER))).status, 502);
});

test("halfway to its end a key is fetched again without anybody waiting", async () => {
  answerWith(await signed());
  await keys.find(peer.name, KEY, ASKER);
  peer.nowMs += DAY / 2;
  answerWith({}, 500);
  assert.ok(await keys.find(peer.name, KEY, ASKER), "it is still good though it can't be fetched");
  await until(() => peer.listener.asked.length === 2);
  answerWith(await signed());
  const validUntilMs = peer.nowMs + DAY;
  await until(async () => {
    peer.nowMs += 1_000;
    return (await keys.find(peer.name, KEY, ASKER))?.validUntilMs === validUntilMs;
  });
  assert.equal(peer.listener.asked.length, 3);
});

test("a key in use is fetched again after an hour at the latest, however long it is good", async () => {
  answerWith(await signed({ valid_until_ts: peer.nowMs + WEEK }));
  const before = await keys.find(peer.name, KEY, ASKER);
  peer.nowMs += HOUR - 1;
  assert.deepEqual(await keys.find(peer.name, KEY, ASKER), before);
  assert.equal(peer.listener.asked.length, 1);
  peer.nowMs += 1;
  assert.deepEqual(await keys.find(peer.name, KEY, ASKER), before, "nobody waits for it");
  await until(async () => (await keys.find(peer.name, KEY, ASKER))?.freshUntilMs === peer.nowMs + HOUR);
  assert.equal(peer.listener.asked.length, 2);
});

test("of keys that a server has withdrawn or changed is told before the new ones are used", async () => {
  const both = { [KEY]: { key: first.publicKey }, [OTHER]: { key: second.publicKey } };
  const told: WithdrawnKeys[] = [];
  const watched = makeKeys({ onWithdrawn: async (withdrawn) => void told.push(withdrawn) });
  answerWith(await signJson(await signed({ verify_keys: both }), peer.name, OTHER, second.privateKey));
  const old = await watched.find(peer.name, KEY, ASKER);
  peer.nowMs += 60_000;
  answerWith(await signed({ verify_keys: { [OTHER]: { key: second.publicKey } } }, second, OTHER));
  assert.equal(await watched.find(peer.name, "ed25519:new", ASKER), undefined);
  assert.deepEqual(told, [{ serverName: peer.name, keyIds: [KEY] }]);
  assert.equal(await watched.find(peer.name, KEY, ASKER), undefined);
  const kept = await watched.find(peer.name, OTHER, ASKER);
  assert.ok((kept?.generation ?? 0) > (old?.generation ?? 0), "what was learnt later has the larger generation");
  peer.nowMs += 60_000;
  answerWith(await signed({ verify_keys: { [OTHER]: { key: first.publicKey } } }, first, OTHER));
  await watched.find(peer.name, "ed25519:new", ASKER);
  assert.deepEqual(told.slice(1), [{ serverName: peer.name, keyIds: [OTHER] }], "another key of the same name");
  const deaf = makeKeys({ onWithdrawn: () => Promise.reject(new Error("cannot be noted")) });
  await deaf.find(peer.name, OTHER, ASKER);
  peer.nowMs += 60_000;
  answerWith(await signed());
  await assert.rejects(deaf.find(peer.name, KEY, ASKER), /cannot be noted/);
  await assert.rejects(deaf.find(peer.name, KEY, ASKER), /cannot be noted/, "it is tried again");
});

test("an answer that can't be trusted is a refusal, and one that is none an outage, with the reason as cause", async () => {
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
  ];
  const formless: [string, unknown][] = [
    ["no form", { server_name: peer.name }],
    ["no object", []],
    ["text for a time", await signed({ valid_until_ts: "soon" as unknown as number })],
  ];
  for (const [cases, told] of [
    [untrusted, [401, "M_UNAUTHORIZED"]],
    [formless, [502, "M_UNKNOWN"]],
  ] as const) {
    for (const [name, body] of cases) {
      const fresh = makeKeys();
      answerWith(body);
      for (const round of ["asked", "remembered"]) {
        const error = await errorOf(fresh.find(peer.name, KEY, ASKER));
        assert.deepEqual([error.status, error.errcode], told, `${name}, ${round}`);
        assert.ok(error.cause instanceof Error, name);
      }
    }
  }
});

test("keys that were refused are asked for again after ten seconds, however often, and believed once they are right", async () => {
  for (let round = 0; round < 12; round += 1) {
    answerWith(await signed({}, second));
    const before = peer.listener.asked.length;
    for (let again = 0; again < 3; again += 1) {
      assert.equal((await errorOf(keys.find(peer.name, KEY, ASKER))).status, 401);
    }
    assert.equal(peer.listener.asked.length, before + 1);
    peer.nowMs += 10_000;
  }
  answerWith(await signed());
  assert.ok(await keys.find(peer.name, KEY, ASKER));
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
    const fresh = makeKeys();
    peer.answer = outage;
    assert.equal((await errorOf(fresh.find(peer.name, KEY, ASKER))).status, 502);
  }
});

test("only a key that signed the answer itself counts", async () => {
  answerWith(await signed({ verify_keys: { [KEY]: { key: first.publicKey }, [OTHER]: { key: second.publicKey } } }));
  assert.ok(await keys.find(peer.name, KEY, ASKER));
  assert.equal(await keys.find(peer.name, OTHER, ASKER), undefined);
});

test("a key id that the server does not have is asked for once a minute", async () => {
  answerWith(await signed());
  assert.equal(await keys.find(peer.name, OTHER, ASKER), undefined);
  for (let round = 0; round < 10; round += 1) assert.equal(await keys.find(peer.name, OTHER, ASKER), undefined);
  assert.equal(await keys.find(peer.name, "__proto__", ASKER), undefined);
  assert.equal(peer.listener.asked.length, 1);
  peer.nowMs += 60_000;
  answerWith(await signed({ verify_keys: { [OTHER]: { key: second.publicKey } } }, second, OTHER));
  assert.equal((await keys.find(peer.name, OTHER, ASKER))?.publicKey, second.publicKey);
  assert.equal(await keys.find(peer.name, KEY, ASKER), undefined, "a key that was withdrawn is gone");
  assert.equal(peer.listener.asked.length, 2);
});

test("after a failure the server is left alone, for longer each time", async () => {
  answerWith({}, 500);
  const waits: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    const before = peer.listener.asked.length;
    await errorOf(keys.find(peer.name, KEY, ASKER));
    assert.equal(peer.listener.asked.length, before + 1);
    const error = await errorOf(keys.find(peer.name, KEY, ASKER));
    assert.equal(peer.listener.asked.length, before + 1);
    waits.push(error.retryAfterMs ?? 0);
    peer.nowMs += error.retryAfterMs ?? 0;
  }
  assert.deepEqual(
    waits,
    [10, 20, 40, 80, 80, 80, 80, 80].map((seconds) => seconds * 1000),
  );
  answerWith(await signed());
  assert.ok(await keys.find(peer.name, KEY, ASKER));
});

test("many requests of one server at once cost one fetch", async () => {
  answerWith(await signed());
  const found = await Promise.all(Array.from({ length: 100 }, () => keys.find(peer.name, KEY, ASKER)));
  assert.ok(found.every((key) => key?.publicKey === first.publicKey));
  assert.equal(peer.listener.asked.length, 1);
});

describe("servers that do not answer", () => {
  const silent = (count: number) =>
    Array.from({ length: count }, (_, at) => `silent${at}.peer.example:${peer.listener.port}`);
  const askedOf = (prefix: string) => peer.listener.asked.filter((line) => line.startsWith(`GET ${prefix}`)).length;
  let spoken = Promise.withResolvers<void>();
  beforeEach(() => {
    spoken = Promise.withResolvers();
  });
  afterEach(() => spoken.resolve());

  /** The servers called silent say nothing until the test lets them, all others what this is. */
  function answerHonestWith(body: unknown): void {
    const { promise } = spoken;
    peer.answer = async (request, response) => {
      if (!request.headers.host?.startsWith("silent"))
        return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
      await promise;
      return response.writeHead(500).end();
    };
  }

  test("do not hold up those who are named from elsewhere", async () => {
    answerHonestWith(await signed());
    const flood = silent(330).map((name) => errorOf(keys.find(name, KEY, "192.0.2.66")));
    await until(() => askedOf("silent") === 8);
    assert.ok(await keys.find(peer.name, KEY, ASKER));
    assert.equal(askedOf("silent"), 8, "a quarter of what can be asked at once is asked for one who names them");
    spoken.resolve();
    for (const { status, retryAfterMs } of await Promise.all(flood)) {
      assert.ok(status === 502 || status === 503, String(status));
      assert.ok((retryAfterMs ?? 0) > 0);
    }
  });

  test("do not hold up a server that we know, though its keys have expired, whoever asks", async () => {
    answerHonestWith(await signed({ valid_until_ts: peer.nowMs + HOUR }));
    assert.ok(await keys.find(peer.name, KEY, ASKER));
    peer.nowMs += DAY;
    answerHonestWith(await signed());
    const flood = silent(300).map((name) => errorOf(keys.find(name, KEY, ASKER)));
    await until(() => askedOf("silent") === 8);
    assert.ok(await keys.find(peer.name, KEY, ASKER));
    spoken.resolve();
    await Promise.all(flood);
  });

  test("do not hold up a server that is named by who names them, once somebody else does", async () => {
    answerHonestWith(await signed());
    const flood = silent(20).map((name) => errorOf(keys.find(name, KEY, "192.0.2.66")));
    await until(() => askedOf("silent") === 8);
    const named = keys.find(peer.name, KEY, "192.0.2.66");
    assert.ok(await keys.find(peer.name, KEY, ASKER));
    assert.ok(await named);
    assert.equal(askedOf("peer.example"), 1);
    spoken.resolve();
    await Promise.all(flood);
  });

  test("are waited for by nobody for long: 503, and not the failure of who was not asked", async () => {
    const hasty = makeKeys({ waitMs: 20 });
    answerHonestWith(await signed());
    const flood = silent(8).map((name) => errorOf(hasty.find(name, KEY, ASKER)));
    await until(() => askedOf("silent") === 8);
    const { status, errcode, retryAfterMs } = await errorOf(hasty.find(peer.name, KEY, ASKER));
    assert.deepEqual([status, errcode, retryAfterMs], [503, "M_UNKNOWN", 5_000]);
    spoken.resolve();
    await Promise.all(flood);
    assert.ok(await hasty.find(peer.name, KEY, ASKER), "it is asked as soon as there is a place");
  });
});

test("key sets are shared through the hints, which may fail", async () => {
  const stored = new Map<string, Uint8Array>();
  const hints: KeyHints = {
    get: async (key) => stored.get(key),
    set: async (key, keySet) => void stored.set(key, Buffer.from(keySet)),
  };
  const [one, two] = [makeKeys({ hints }), makeKeys({ hints })];
  answerWith(await signed());
  assert.ok(await one.find(peer.name, KEY, ASKER));
  assert.ok(await two.find(peer.name, KEY, ASKER));
  assert.equal(peer.listener.asked.length, 1);
  peer.nowMs += 120_000;
  answerWith(await signed({ verify_keys: { [OTHER]: { key: second.publicKey } } }, second, OTHER));
  assert.ok(await one.find(peer.name, OTHER, ASKER));
  assert.ok(await two.find(peer.name, OTHER, ASKER), "the newer set is found in the hints");
  assert.equal(peer.listener.asked.length, 2);
  const broken: KeyHints = {
    get: () => Promise.reject(new Error("no")),
    set: () => Promise.reject(new Error("no")),
  };
  assert.ok(await makeKeys({ hints: broken }).find(peer.name, OTHER, ASKER));
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
  const make = () => makeKeys({ notaries: [notaryName] });
  for (entries of [[], [entry], [forged], [null], [await signJson(own, notaryName, "ed25519:n", notary.privateKey)]]) {
    assert.equal((await errorOf(make().find(peer.name, KEY, ASKER))).status, 502);
  }
  entries = [forged, countersigned];
  assert.equal((await make().find(peer.name, KEY, ASKER))?.publicKey, first.publicKey);
});
