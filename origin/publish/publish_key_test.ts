import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { PLAIN_POLICY } from "../../test/support/plain_policy.ts";
import type { ServerKey } from "../matrix/keys/server_keys.ts";
import { silentLog } from "../platform/log.ts";
import { makePublishKey, type PublishKey } from "./publish_key.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DOMAIN = {
  serverName: "us.example",
  policy: PLAIN_POLICY,
};

let now: number;
let drawn: number;
let written: { key: string; document: Record<string, unknown> }[];
let publishKey: PublishKey;

beforeEach(() => {
  now = 1_700_000_000_000;
  drawn = 100;
  written = [];
  publishKey = makePublishKey({
    bucket: {
      async writeDocument(key, document) {
        written.push({ key, document: { ...document } });
        return "written";
      },
    },
    clock: () => now,
    steady: () => now,
    log: silentLog,
    metrics: { published: () => undefined },
    drawGeneration: async () => ++drawn,
    deadlineMs: 1_000,
  });
});

const keyOf = (changes: Partial<ServerKey> = {}): ServerKey => ({
  serverName: "peer.example",
  keyId: "ed25519:1",
  publicKey: "AAAA",
  validUntilMs: now + 24 * HOUR,
  freshUntilMs: now + HOUR,
  generation: 7,
  ...changes,
});
const keysWritten = () => written.filter(({ key }) => key.startsWith("k/"));

test("a key is told with the generation it was learnt at, and believed for as long as it is here", async () => {
  await publishKey([keyOf()], DOMAIN);
  assert.deepEqual(keysWritten(), [
    {
      key: "k/peer.example/ed25519:1",
      document: { v: 1, gen: 7, server_name: "peer.example", key_id: "ed25519:1", key: "AAAA", exp: now + HOUR },
    },
  ]);
  assert.deepEqual(written.find(({ key }) => key === "p/us.example")?.document, {
    v: 1,
    gen: 101,
    server_name: "us.example",
    policy: DOMAIN.policy,
    exp: now + HOUR,
  });
});

test("a key that is being asked for again is not told", async () => {
  const key = keyOf();
  now += HOUR;
  await publishKey([key], DOMAIN);
  assert.deepEqual(keysWritten(), []);
});

test("what was told is told again where it has changed, or where the bucket has lost it a while ago", async () => {
  const key = keyOf();
  for (let round = 0; round < 3; round += 1) await publishKey([key], DOMAIN);
  assert.equal(keysWritten().length, 1);
  await publishKey([keyOf({ generation: 8 })], DOMAIN);
  assert.equal(keysWritten().length, 2);
  now += 5 * MINUTE;
  await publishKey([keyOf({ generation: 8, freshUntilMs: now + HOUR - 5 * MINUTE })], DOMAIN);
  assert.equal(keysWritten().length, 3);
});
