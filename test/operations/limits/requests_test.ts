import assert from "node:assert/strict";
import { get } from "node:http";
import { before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import type { Overrides } from "../../../origin/app.ts";
import { hopHeaders } from "../../../shared/tiers/hop.ts";
import { HOP_SECRET, startOrigin, type TestOrigin } from "../../support/app.ts";
import { type Account, startHomeserver } from "../../support/homeserver.ts";
import { type Asking, ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { type Lifetime, lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { LONG_PATIENCE, redisSkip, sharedRedis, uniqueName } from "../../support/redis.ts";

interface StartOptions {
  readonly accounts?: Record<string, Account>;
  readonly trustedProxies?: string;
  readonly overrides?: Overrides;
}

const ACCOUNTS: Record<string, Account> = {
  token_of_user: { user_id: "@user:example.org" },
  token_of_other: { user_id: "@other:example.org" },
  token_of_admin: { user_id: "@admin:example.org" },
};
const USER = "token_of_user";
const OTHER = "token_of_other";
const ADMIN = "token_of_admin";
const CONFIG = "/_matrix/client/v1/media/config";
const LEGACY = "/_matrix/media/v3/download/example.org/nothing";
const EDGE = `edge: { enabled: true, hopSecret: ${HOP_SECRET}, bucket: { endpoint: "http://127.0.0.1:9", bucketName: b, accessKeyId: k, accessSecret: s } }\n`;
const TIGHT = "rateLimit: { requestsPerSecond: 0.01, burst: 3 }\n";

async function start(t: Lifetime, yaml: string, options: StartOptions = {}): Promise<TestOrigin> {
  const homeserver = await startHomeserver(options.accounts ?? ACCOUNTS);
  t.after(() => homeserver.close());
  const proxies = options.trustedProxies === undefined ? "" : `, trustedProxies: ${options.trustedProxies}`;
  return await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    ...(options.overrides ? { overrides: options.overrides } : {}),
    yaml: `admins: ["@admin:example.org"]\nrepo: { bindAddress: 127.0.0.1, port: 0${proxies} }\n${yaml}`,
  });
}

test("at default settings a client that starts cold gets 200 thumbnails at once, one of them in every size", async (t) => {
  const origin = await start(t, "rateLimit: {}\n");
  const photo = await makePhoto(64, 48);
  const ids: string[] = [];
  for (let count = 0; count < 200; count += 1) {
    ids.push(await upload(origin.url, ADMIN, Buffer.concat([photo, Buffer.from(`${count}`)]), { type: "image/jpeg" }));
  }
  const avatars = ids.map((id) => thumbnail(id, 32));
  const sizes = [32, 48, 64, 96, 128, 200, 320, 480, 640, 800].map((size) => thumbnail(ids[0] as string, size));
  const paths = [...avatars, ...sizes, CONFIG, "/_matrix/client/versions"];
  const heard = await Promise.all(paths.map((path) => ask(origin.url, path, { token: USER })));
  assert.deepEqual(tally(heard), { 200: paths.length });
});

test("at default settings a player that is scrubbed, and a download over sixteen connections, meet no limit", async (t) => {
  const origin = await start(t, "rateLimit: {}\n");
  const body = Buffer.from(Array.from({ length: 64_000 }, (_, index) => (index * 7) % 251));
  const path = `/_matrix/client/v1/media/download/${await upload(origin.url, ADMIN, body, { type: "video/mp4" })}`;
  const part = async (first: number, bytes: number, token: string) => {
    const range = `bytes=${first}-${first + bytes - 1}`;
    const heard = await ask(origin.url, path, { token, headers: { range } });
    assert.ok(heard.status !== 206 || heard.body.equals(body.subarray(first, first + bytes)));
    return heard;
  };
  const scrubbed = [await ask(origin.url, path, { token: USER, headers: { range: "bytes=0-" } })];
  for (let count = 0; count < 60; count += 1) scrubbed.push(await part(((count * 37) % 64) * 1_000, 1_000, USER));
  assert.deepEqual(tally(scrubbed), { 206: 61 });
  // Sixteen at once, each piece after piece.
  const pieces = Array.from({ length: 64 }, (_, index) => index * 1_000).values();
  const lanes = Array.from({ length: 16 }, async () => {
    const heard = [];
    for (const first of pieces) heard.push(await part(first, 1_000, OTHER));
    return heard;
  });
  assert.deepEqual(tally((await Promise.all(lanes)).flat()), { 206: 64 });
});

test("two origins with one Redis limit as one", { skip: redisSkip() }, async (t) => {
  const yaml = `${TIGHT}redis: { enabled: true, shards: [{ name: one, addr: "${sharedRedis()}" }] }\n`;
  const name = uniqueName();
  const accounts = { [name]: { user_id: `@${name}:example.org` } };
  const options = { accounts, overrides: { redisPatience: LONG_PATIENCE } };
  const origins = await Promise.all([start(t, yaml, options), start(t, yaml, options)]);
  const heard = [];
  for (let turn = 0; turn < 6; turn += 1) {
    heard.push(await ask((origins[turn % 2] as TestOrigin).url, CONFIG, { token: name }));
  }
  assert.deepEqual(tally(heard), { 200: 3, 429: 3 });
  const id = await upload((origins[0] as TestOrigin).url, name, Buffer.alloc(5_000, 7));
  const ranges = [];
  for (let turn = 0; turn < 100; turn += 1) {
    const { url } = origins[turn % 2] as TestOrigin;
    const path = `/_matrix/client/v1/media/download/${id}`;
    ranges.push(await ask(url, path, { token: name, headers: { range: "bytes=1-" } }));
  }
  // The other origin has a database of its own, and knows no such media.
  assert.equal(tally(ranges)[429], 4, JSON.stringify(tally(ranges)));
});

describe("requests, three at once and one in a hundred seconds", () => {
  const lifetime = lifetimeOfSuite();
  let origin: TestOrigin;

  before(async () => {
    const service = (id: string, more: string) =>
      `    - { id: ${id}, asToken: token_of_${id}, senderUserId: "@${id}:example.org", userNamespaces: [{ regex: "^@_${id}_.*" }]${more} }\n`;
    const services = service("one", "") + service("two", ", rateLimited: false");
    const accounts = Object.fromEntries(
      ["shape", "roaming", "still"].map((name) => [name, { user_id: `@${name}:example.org` }]),
    );
    origin = await start(
      lifetime,
      `${TIGHT}${EDGE}accessTokens:\n  maxCacheTimeSeconds: 3600\n  useLocalAppserviceConfig: true\n  appservices:\n${services}`,
      { accounts: { ...ACCOUNTS, ...accounts } },
    );
  });
  const times = (count: number, asking: () => Promise<Heard>) => Promise.all(Array.from({ length: count }, asking));

  test("beyond that are 429 with all that a client, a user and an operator want to know", async () => {
    assert.deepEqual(tally(await times(3, () => ask(origin.url, CONFIG, { token: "shape" }))), { 200: 3 });
    const heard = await ask(origin.url, CONFIG, { token: "shape" });
    assert.equal(heard.status, 429);
    const body = jsonOf(heard);
    assert.equal(body.errcode, "M_LIMIT_EXCEEDED");
    assert.equal(body.limit, "rateLimit.requestsPerSecond");
    assert.equal(body.limit_subject, "user @shape:example.org");
    assert.ok(Number.isInteger(body.retry_after_ms) && (body.retry_after_ms as number) > 90_000);
    assert.equal(heard.headers["retry-after"], String(Math.ceil((body.retry_after_ms as number) / 1000)));
    assert.equal(heard.headers["access-control-allow-origin"], "*");
    assert.equal(heard.headers["cache-control"], "no-store");
  });

  test("are the user's own: neither another's nor another path's are fewer for it, and no address is a way around", async () => {
    const from = (address: string, token: string) =>
      ask(origin.url, CONFIG, { token, headers: { "x-forwarded-for": address } });
    const heard = [];
    for (let index = 0; index < 6; index += 1) heard.push(await from(`198.51.100.${index}`, "roaming"));
    assert.deepEqual(tally(heard), { 200: 3, 429: 3 });
    assert.deepEqual(tally(await times(3, () => from("198.51.100.1", "still"))), { 200: 3 });
    assert.equal((await ask(origin.url, "/_matrix/media/v3/config", { token: "roaming" })).status, 200);
  });

  test("of repository administrators are not limited", async () => {
    assert.deepEqual(tally(await times(50, () => ask(origin.url, CONFIG, { token: ADMIN }))), { 200: 50 });
  });

  test("for health are not limited", async () => {
    assert.deepEqual(tally(await times(50, () => ask(origin.url, "/healthz"))), { 200: 50 });
  });

  test("of application services are limited like all others', user by user, unless the configuration says otherwise", async () => {
    const asked = (token: string, userId: string) =>
      times(8, () => ask(origin.url, `${CONFIG}?user_id=${encodeURIComponent(userId)}`, { token }));
    assert.deepEqual(tally(await asked("token_of_one", "@_one_a:example.org")), { 200: 3, 429: 5 });
    assert.deepEqual(tally(await asked("token_of_one", "@_one_b:example.org")), { 200: 3, 429: 5 });
    assert.deepEqual(tally(await asked("token_of_two", "@_two_a:example.org")), { 200: 8 });
  });

  test("for ranges of one media are counted together, thirty-two as one, and are no way around the limit", async () => {
    const id = await upload(origin.url, OTHER, Buffer.alloc(5_000, 7));
    const path = `/_matrix/client/v1/media/download/${id}`;
    const get = (headers: Record<string, string>) => ask(origin.url, path, { token: "still", headers });
    // What begins a download, and what is no range, is a request.
    for (const range of ["bytes=0-", "bytes=x"]) assert.ok((await get({ range })).status < 300);
    const heard = [];
    for (let count = 0; count < 40; count += 1) heard.push(await get({ range: `bytes=${count + 1}-` }));
    assert.deepEqual(tally(heard), { 206: 32, 429: 8 });
    assert.equal(jsonOf(heard.at(-1) as Heard).limit, "rateLimit.requestsPerSecond");
    assert.equal((await get({})).status, 429);
    assert.equal((await ask(origin.url, path, { token: "shape", headers: { range: "bytes=1-2" } })).status, 206);
  });

  test("without a name are counted by address, a whole IPv6 /64 as one", async () => {
    const from = (address: string) => ask(origin.url, LEGACY, { headers: { "x-forwarded-for": address } });
    const heard = [];
    for (let index = 1; index <= 5; index += 1) heard.push(await from(`2001:db8:1:2::${index}`));
    assert.deepEqual(tally(heard), { 404: 3, 429: 2 });
    assert.equal(jsonOf(heard[4] as Heard).limit_subject, "address 2001:db8:1:2::/64");
    assert.equal((await from("2001:db8:1:3::1")).status, 404);
    assert.equal((await from("192.0.2.1")).status, 404);
  });

  test("cannot pose as others behind a trusted proxy: only the address that the proxy has added counts", async () => {
    const heard = [];
    for (let index = 1; index <= 6; index += 1) {
      heard.push(await ask(origin.url, LEGACY, { headers: { "x-forwarded-for": `198.51.100.${index}, 203.0.113.9` } }));
    }
    assert.deepEqual(tally(heard), { 404: 3, 429: 3 });
  });

  test("that come through the edge are counted for the real client, which the edge has signed", async () => {
    const heardFrom = async (clientAddress: string) => {
      const timeMs = Date.now();
      const hop = { method: "GET", target: LEGACY, host: "example.org", clientAddress, requestId: "id", timeMs };
      return await ask(origin.url, LEGACY, { headers: await hopHeaders(HOP_SECRET, hop) });
    };
    const heard = [];
    for (let count = 0; count < 5; count += 1) heard.push(await heardFrom("198.51.100.201"));
    assert.deepEqual(tally(heard), { 404: 3, 429: 2 });
    assert.equal((await heardFrom("198.51.100.202")).status, 404);
  });
});

test("what an untrusted sender forwards changes nothing", async (t) => {
  const origin = await start(t, TIGHT, { trustedProxies: "[]" });
  const heard = [];
  for (let index = 1; index <= 6; index += 1) {
    const posing = `198.51.100.${index}`;
    const headers = { "x-forwarded-for": posing, "x-real-ip": posing, forwarded: `for=${posing}` };
    heard.push(await ask(origin.url, LEGACY, { headers }));
  }
  assert.deepEqual(tally(heard), { 404: 3, 429: 3 });
  assert.equal(jsonOf(heard[5] as Heard).limit_subject, "address 127.0.0.1");
});

test("guesses at tokens are held back by address; those who have shown who they are use nothing of it up", async (t) => {
  const origin = await start(t, "rateLimit: { overall: { requestsPerSecond: 0.01, burst: 10 } }\n");
  for (let count = 0; count < 10; count += 1) {
    for (const token of [USER, OTHER]) {
      const heard = await ask(origin.url, `/_matrix/client/v1/media/download/example.org/${count}`, { token });
      assert.equal(heard.status, 404);
    }
  }
  const heard = [];
  for (let count = 0; count < 15; count += 1) heard.push(await ask(origin.url, CONFIG, { token: `guess ${count}` }));
  assert.deepEqual(tally(heard), { 401: 10, 429: 5 });
  assert.equal(jsonOf(heard[14] as Heard).limit, "rateLimit.overall.requestsPerSecond");
  assert.equal((await ask(origin.url, "/_matrix/client/versions")).status, 429);
});

test("limits can be switched off", async (t) => {
  const origin = await start(t, "rateLimit: { enabled: false, requestsPerSecond: 1, burst: 1 }\n");
  const heard = await Promise.all(Array.from({ length: 30 }, () => ask(origin.url, CONFIG, { token: USER })));
  assert.deepEqual(tally(heard), { 200: 30 });
});

describe("bytes", () => {
  const limited = (capacity: number, overflow = 0) =>
    `rateLimit: { buckets: { downloads: { capacityBytes: ${capacity}, drainBytesPerMinute: 1, overflowLimitBytes: ${overflow} } } }\n`;
  const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;

  test("are charged as they are sent: nothing for HEAD and 304, a part for a part", async (t) => {
    const origin = await start(t, limited(20_000));
    const id = await upload(origin.url, USER, Buffer.alloc(10_000, 1));
    const asked = (asking: Asking = {}) => ask(origin.url, download(id), { token: USER, ...asking });
    assert.equal((await asked()).status, 200);
    for (let times = 0; times < 4; times += 1) assert.equal((await asked({ method: "HEAD" })).status, 200);
    for (let times = 0; times < 2; times += 1) {
      assert.equal((await asked({ headers: { "if-none-match": "*" } })).status, 304);
      assert.equal((await asked({ headers: { range: "bytes=0-4999" } })).status, 206);
    }
    const refused = await ask(origin.url, `${download(id)}/name`, { token: USER });
    assert.equal(refused.status, 429);
    assert.equal(jsonOf(refused).limit, "rateLimit.buckets.downloads");
    assert.equal(jsonOf(refused).limit_subject, "user @user:example.org");
    assert.ok(Number(refused.headers["retry-after"]) > 60);
    assert.equal((await ask(origin.url, download(id), { token: OTHER })).status, 200);
  });

  test("of a client that goes away are given back", async (t) => {
    const origin = await start(t, limited(50_000_000));
    const id = await upload(origin.url, USER, Buffer.alloc(30_000_000, 1));
    await breakOff(origin, download(id));
    let heard = await ask(origin.url, `${download(id)}/again`, { token: USER });
    for (let times = 0; heard.status === 429 && times < 1_500; times += 1) {
      await wait(20);
      heard = await ask(origin.url, `${download(id)}/again${times}`, { token: USER });
    }
    assert.equal(heard.status, 200);
    assert.equal((await ask(origin.url, `${download(id)}/more`, { token: USER })).status, 429);
  });

  function breakOff(origin: TestOrigin, path: string): Promise<void> {
    const headers = { authorization: `Bearer ${USER}` };
    return new Promise((resolve, reject) => {
      const request = get(`${origin.url}${path}`, { headers, agent: false }, (response) => {
        response.once("data", () => {
          request.destroy();
          resolve();
        });
      });
      request.once("error", (error) => (request.destroyed ? undefined : reject(error)));
    });
  }
});

function thumbnail(id: string, size: number): string {
  return `/_matrix/client/v1/media/thumbnail/${id}?width=${size}&height=${size}&method=crop`;
}

function tally(heard: readonly Heard[]): Record<number, number> {
  const counted: Record<number, number> = {};
  for (const { status } of heard) counted[status] = (counted[status] ?? 0) + 1;
  return counted;
}
