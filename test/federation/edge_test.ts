import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { importSeed, signRequest } from "../../origin/matrix/signing.ts";
import type { LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { domainKey, signingKeyKey } from "../../shared/tiers/object_key.ts";
import { openStage, SERVER, type Stage } from "../edge/stage.ts";
import { ask, jsonOf } from "../support/http.ts";
import { PLAIN_POLICY } from "../support/plain_policy.ts";
import { openStream, until } from "./stage.ts";

const { privateKey, publicKey } = await importSeed(new Uint8Array(randomBytes(32)));
const PEER = "peer.example:8448";
const KEY_ID = "ed25519:k";
const V1 = "/_matrix/federation/v1/media";
const HOUR_MS = 3_600_000;
/** As large as a body may be that is read once for many. */
const SHARED = 8 * 1_048_576;
const TOMBSTONE = JSON.stringify({ v: 1, gen: 9, gone: true, at: 1 });
let stage: Stage;

before(async () => {
  stage = await openStage();
});
after(() => stage.close());
beforeEach(async () => {
  await putKey();
  await putDomain();
});

const putKey = (changes: object = {}, at = signingKeyKey(PEER, KEY_ID)) =>
  stage.edge.bucket.put(
    at,
    JSON.stringify({
      v: 1,
      gen: 1,
      server_name: PEER,
      key_id: KEY_ID,
      key: publicKey,
      exp: Date.now() + HOUR_MS,
      ...changes,
    }),
  );
const putDomain = (changes: object = {}) =>
  stage.edge.bucket.put(
    domainKey(SERVER),
    JSON.stringify({ v: 1, gen: 1, server_name: SERVER, policy: PLAIN_POLICY, exp: Date.now() + HOUR_MS, ...changes }),
  );
/** What the edge has read is believed for two seconds. */

const sign = (uri: string, how: { origin?: string; destination?: string; keyId?: string } = {}) =>
  signRequest(
    { method: "GET", uri, origin: how.origin ?? PEER, destination: how.destination ?? SERVER },
    how.keyId ?? KEY_ID,
    privateKey,
  );

const askSigned = async (uri: string, how = {}) =>
  await ask(stage.edge.url, uri, { headers: { authorization: await sign(uri, how) } });

/** The origin of the stage knows nothing: a 404 of its own shows that it was asked. */
async function isForwarded(uri: string, how = {}): Promise<void> {
  const asked = stage.origin.asked(uri);
  const heard = await askSigned(uri, how);
  assert.equal(stage.origin.asked(uri), asked + 1);
  assert.match(heard.headers["cache-status"] ?? "", /fwd=/);
}

test("media of the bucket is wrapped without asking the origin, large or small or empty", async () => {
  for (const [mediaId, size] of [
    ["empty", 0],
    ["tiny", 5],
    ["shared", SHARED],
    ["large", SHARED + 1],
    ["huge", 30_000_000],
  ] as const) {
    const bytes = randomBytes(size);
    await stage.publish({ mediaId, bytes, type: "video/mp4" });
    const heard = await askSigned(`${V1}/download/${mediaId}`);
    assert.equal(heard.status, 200);
    assert.equal(heard.headers["content-length"], String(heard.body.length), mediaId);
    const tail = heard.body.indexOf("\r\n\r\n", heard.body.indexOf("Content-Disposition"));
    assert.ok(heard.body.subarray(tail + 4, tail + 4 + size).equals(bytes), mediaId);
    assert.equal(stage.origin.asked(`${V1}/download/${mediaId}`), 0);
  }
});

/** Begins to ask, and takes nothing of the body until it leaves. */
const openSlow = async (uri: string) =>
  await openStream(stage.edge.url, uri, { authorization: await sign(uri), paused: true });

/** How often a body was read from the bucket while this was done. */
async function readsOf({ body = "" }: LiveDescriptor, work: () => Promise<unknown>): Promise<number> {
  const before = (await stage.edge.bucketReads())[body] ?? 0;
  await work();
  return ((await stage.edge.bucketReads())[body] ?? 0) - before;
}

async function askMany(mediaId: string, bytes: Buffer, times: number): Promise<void> {
  const heard = await Promise.all(Array.from({ length: times }, () => askSigned(`${V1}/download/${mediaId}`)));
  for (const { status, body } of heard) {
    assert.equal(status, 200);
    assert.ok(body.includes(bytes), mediaId);
  }
}

test("a body of 8 MiB is read once for all who want it, however slowly one of them takes it; a larger one by each", async () => {
  for (const [mediaId, size, reads] of [
    ["herd", SHARED, 1],
    ["herd_large", SHARED + 1, 11],
  ] as const) {
    const bytes = randomBytes(size);
    const descriptor = await stage.publish({ mediaId, bytes });
    const wereRead = await readsOf(descriptor, async () => {
      const slow = await openSlow(`${V1}/download/${mediaId}`);
      await askMany(mediaId, bytes, 10);
      slow.leave();
    });
    assert.equal(wereRead, reads, mediaId);
  }
});

test("those who take large bodies slowly keep others from sharing for a while, never from reading", async () => {
  const slow = [];
  for (const name of ["one", "two", "three", "four"]) {
    await stage.publish({ mediaId: name, bytes: randomBytes(SHARED) });
    slow.push(await openSlow(`${V1}/download/${name}`));
  }
  const bytes = randomBytes(SHARED);
  const fifth = await stage.publish({ mediaId: "fifth", bytes });
  assert.equal(await readsOf(fifth, () => askMany("fifth", bytes, 3)), 3);
  for (const one of slow) one.leave();
  // Their places are free again once the edge has noticed.
  await until(async () => {
    const reads = await readsOf(fifth, async () => {
      const held = await openSlow(`${V1}/download/fifth`);
      await askMany("fifth", bytes, 2);
      held.leave();
    });
    return reads <= 1;
  });
});

test("frozen media is shown to servers, quarantined and erased media is not", async () => {
  await stage.publish({ mediaId: "frozen", descriptor: { frozen: true } });
  assert.equal((await askSigned(`${V1}/download/frozen`)).status, 200);
  await stage.publish({ mediaId: "bad", descriptor: { quarantined: true } });
  const tombstone = { v: 1, gen: 9, gone: true, at: Date.now() };
  await stage.edge.bucket.put(`d/${SERVER}/erased`, JSON.stringify(tombstone));
  for (const id of ["bad", "erased"]) {
    const heard = await askSigned(`${V1}/download/${id}`);
    assert.equal(heard.status, 404);
    assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    assert.equal(stage.origin.asked(`${V1}/download/${id}`), 0);
  }
});

test("what the edge cannot judge by itself goes to the origin, never through", async () => {
  await stage.publish({ mediaId: "there" });
  const uri = (more = "") => `${V1}/download/there?${more}`;
  await isForwarded(uri("an unknown key".replaceAll(" ", "_")), { keyId: "ed25519:other" });
  await isForwarded(uri("an_unknown_server"), { origin: "other.example" });
  await isForwarded(uri("an_unknown_destination"), { destination: "elsewhere.example" });
  await isForwarded(`${V1}/download/unknown`);
  await stage.publish({ mediaId: "bodiless", descriptor: { body: "b/nowhere-1" }, bodiless: true });
  await isForwarded(`${V1}/download/bodiless`);
  await stage.publish({ mediaId: "wrong", descriptor: { size: 3 } });
  await isForwarded(`${V1}/download/wrong`);
  await stage.publish({ mediaId: "foreign", descriptor: { media_id: "another" } as Partial<LiveDescriptor> });
  await isForwarded(`${V1}/download/foreign`);
  await isForwarded(`${V1}/thumbnail/there?width=32&height=32`);
});

test("a document that is broken, expired or lies in a wrong place proves nothing", async () => {
  await stage.publish({ mediaId: "there" });
  const spoilt: [string, () => Promise<unknown>][] = [
    ["an expired key", () => putKey({ exp: Date.now() - 1 })],
    ["a key that was withdrawn", () => stage.edge.bucket.put(signingKeyKey(PEER, KEY_ID), TOMBSTONE)],
    ["a key of another server", () => putKey({ server_name: "other.example" })],
    ["a key of another id", () => putKey({ key_id: "ed25519:z" })],
    ["no key at all", () => putKey({ key: "AAAA" })],
    ["a document of another version", () => putKey({ v: 2 })],
    ["an expired domain", () => putDomain({ exp: Date.now() - 1 })],
    ["another domain", () => putDomain({ server_name: "other.example" })],
  ];
  for (const [name, spoil] of spoilt) {
    await Promise.all([putKey(), putDomain()]);
    await spoil();
    await stage.edge.forget();
    await isForwarded(`${V1}/download/there?${encodeURIComponent(name)}`);
  }
});

test("a signature that is wrong by a key that is known is refused here; a bucket that cannot be read decides nothing", async () => {
  await stage.edge.forget();
  const uri = `${V1}/download/there`;
  const authorization = (await sign(uri)).replace(/sig="../, 'sig="AA');
  const asked = stage.origin.asked(uri);
  const heard = await ask(stage.edge.url, uri, { headers: { authorization } });
  assert.equal(heard.status, 401);
  assert.equal(jsonOf(heard).errcode, "M_UNAUTHORIZED");
  assert.equal(stage.origin.asked(uri), asked);
  await stage.edge.forget();
  await stage.edge.setBucketMood({ failing: true });
  try {
    const failed = await ask(stage.edge.url, uri, { headers: { authorization } });
    assert.equal(stage.origin.asked(uri), asked + 1);
    assert.notEqual(failed.status, 200);
  } finally {
    await stage.edge.setBucketMood({});
  }
});
