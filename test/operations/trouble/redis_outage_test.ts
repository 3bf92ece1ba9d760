import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { makePhoto } from "../../support/pictures.ts";
import { redisServerSkip, startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const USER = "token_of_user";
const LIMIT = 100_000;

test("a Redis that ends, hangs and comes back under load costs nobody an answer", {
  skip: redisServerSkip(),
}, async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const redis = await startRedis(t);
  const said: string[] = [];
  const origin = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    yaml: `redis: { enabled: true, shards: [{ name: one, addr: "${redis.addr}" }] }
rateLimit: { enabled: true, requestsPerSecond: ${LIMIT}, burst: ${LIMIT} }
`,
  });
  const content = randomBytes(5_000);
  const known = await upload(origin.url, USER, content);
  const photo = await upload(origin.url, USER, await makePhoto(640, 480), { type: "image/jpeg" });
  let loading = true;
  const done = new Map<string, number>();
  const work: Record<string, () => Promise<number>> = {
    async upload() {
      const body = randomBytes(500);
      const heard = await ask(origin.url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body });
      if (heard.status !== 200) said.push(heard.body.toString());
      return heard.status;
    },
    async download() {
      const heard = await ask(origin.url, `/_matrix/client/v1/media/download/${known}`, { token: USER });
      if (heard.status === 200) assert.ok(heard.body.equals(content));
      return heard.status;
    },
    async thumbnail() {
      const path = `/_matrix/client/v1/media/thumbnail/${photo}?width=96&height=96&method=scale`;
      return (await ask(origin.url, path, { token: USER })).status;
    },
    async logout() {
      const token = `leaving-${randomBytes(8).toString("hex")}`;
      homeserver.accounts.set(token, { user_id: "@leaving:example.org", device_id: token });
      return (await ask(origin.url, "/_matrix/client/v3/logout", { method: "POST", token, body: "{}" })).status;
    },
  };
  const load = Promise.all(
    Object.entries(work).map(async ([what, once]) => {
      while (loading) {
        const key = `${what} ${await once()}`;
        done.set(key, (done.get(key) ?? 0) + 1);
      }
    }),
  );
  async function allDone(): Promise<void> {
    const before = Object.keys(work).map((what) => [what, done.get(`${what} 200`) ?? 0] as const);
    for (const [what, so] of before) await until(() => (done.get(`${what} 200`) ?? 0) > so + 5, `${what} goes on`);
  }

  await allDone();
  redis.freeze();
  await allDone();
  redis.thaw();
  await allDone();
  await redis.kill();
  await allDone();
  await redis.restart();
  await until(async () => (await redis.scriptsRun()) > 0, "Redis is asked again");
  await allDone();
  loading = false;
  await load;
  assert.deepEqual(
    [...done.keys()].filter((key) => !key.endsWith(" 200")),
    [],
    said.join(),
  );
  assert.equal(jsonOf(await ask(origin.url, "/healthz")).ok, true);
});
