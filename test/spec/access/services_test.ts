import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { type Asking, ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { PERSON, SERVICE, type ServiceHomeserver, startServiceHomeserver } from "./service_homeserver.ts";

/** Specification checklist 7.3: application services, which may act as others, and what is remembered of whom. */

const lifetime = lifetimeOfSuite();
let homeserver: ServiceHomeserver;
let stack: TestStack;

before(async () => {
  homeserver = await startServiceHomeserver(lifetime);
  stack = await startStack(lifetime, { homeservers: { "example.org": homeserver.url } });
});

const USAGE = "/_matrix/media/v3/usage";
const as = (userId: string, deviceId?: string) =>
  `?${new URLSearchParams({ user_id: userId, ...(deviceId === undefined ? {} : { device_id: deviceId }) })}`;

/** Whose upload the database says it is. */
async function uploaderOf(id: string): Promise<string | undefined> {
  const { rows } = await stack.origin.app.db.query<{ user_id: string }>(
    "SELECT user_id FROM media WHERE media_id = $1",
    [id.split("/")[1]],
  );
  return rows[0]?.user_id;
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];
  const send = async (query: string, asking: Asking = {}) => {
    const body = Buffer.from(`words of ${Math.random()} ${"x".repeat(200)}`);
    const heard = await ask(base(), `/_matrix/media/v3/upload${query}`, {
      method: "POST",
      token: SERVICE.token,
      body,
      ...asking,
    });
    return { heard, id: String(jsonOf(heard).content_uri).replace("mxc://", "") };
  };

  describe(`an application service through the ${tier}`, () => {
    test("#44 is its sender where it names nobody", async () => {
      const { heard, id } = await send("");
      assert.equal(heard.status, 200);
      assert.equal(await uploaderOf(id), SERVICE.sender);
    });

    test("#42 #43 is the user it names, on whichever device of that user", async () => {
      for (const device of [undefined, ...SERVICE.devices]) {
        const { heard, id } = await send(as("@bridged_alice:example.org", device));
        assert.equal(heard.status, 200, device);
        assert.equal(await uploaderOf(id), "@bridged_alice:example.org");
      }
      const question = homeserver.asked.find((path) => path.includes("DEVICE_2")) ?? "";
      assert.match(question, /user_id=%40bridged_alice%3Aexample.org/);
    });

    test("#43 hears 400 M_UNKNOWN_DEVICE of a device that is not the user's", async () => {
      const { heard } = await send(as("@bridged_alice:example.org", "NOBODYS"));
      assert.equal(heard.status, 400);
      assert.equal(jsonOf(heard).errcode, "M_UNKNOWN_DEVICE");
    });

    test("#45 hears 403 M_FORBIDDEN of a user outside its namespaces, also of one that others are", async () => {
      for (const userId of [PERSON.userId, "@bridged_alice:example.com", "nobody"]) {
        const { heard } = await send(as(userId));
        assert.equal(heard.status, 403, userId);
        assert.equal(jsonOf(heard).errcode, "M_FORBIDDEN");
      }
    });

    test("#42 downloads as the user it names too, and a name it may not bear is refused there as well", async () => {
      const { id } = await send(as("@bridged_bob:example.org"));
      const path = `/_matrix/client/v1/media/download/${id}`;
      for (let times = 0; times < 2; times += 1) {
        const good = await ask(base(), path + as("@bridged_bob:example.org"), { token: SERVICE.token });
        assert.equal(good.status, 200);
        const bad = await ask(base(), path + as(PERSON.userId), { token: SERVICE.token });
        assert.equal(bad.status, 403);
      }
    });

    test("#47 is remembered for each user and device on its own, and asked for once for many at once", async () => {
      const one = `@bridged_${tier}_one:example.org`;
      const two = `@bridged_${tier}_two:example.org`;
      await send(as(one));
      const { id } = await send(as(two));
      assert.equal(await uploaderOf(id), two);
      const usage = jsonOf(await ask(base(), USAGE + as(one), { token: SERVICE.token }));
      assert.equal(usage["m.storage.files"], 1, "the files of one are not those of the other");
      const questions = (name: string) =>
        homeserver.asked.filter((path) => path.includes(encodeURIComponent(name))).length;
      assert.equal(questions(one), 1);
      const many = `@bridged_${tier}_many:example.org`;
      const heard = await Promise.all(
        Array.from({ length: 20 }, () => ask(base(), USAGE + as(many), { token: SERVICE.token })),
      );
      assert.ok(heard.every(({ status }) => status === 200));
      assert.equal(questions(many), 1);
    });

    test("#42 the user_id of who is no application service changes nothing", async () => {
      const id = await upload(base(), PERSON.token, "words ".repeat(50));
      assert.equal(await uploaderOf(id), PERSON.userId);
      const { heard, id: other } = await send(as("@bridged_alice:example.org"), { token: PERSON.token });
      assert.equal(heard.status, 200);
      assert.equal(await uploaderOf(other), PERSON.userId);
    });
  });
}

describe("an application service that the configuration lists", () => {
  const own = lifetimeOfSuite();
  let listed: TestStack;
  let its: ServiceHomeserver;

  before(async () => {
    its = await startServiceHomeserver(own);
    listed = await startStack(own, {
      homeservers: { "example.org": its.url },
      yaml: `accessTokens:
  maxCacheTimeSeconds: 3600
  useLocalAppserviceConfig: true
  appservices:
    - { id: bridge, asToken: ${SERVICE.token}, senderUserId: "${SERVICE.sender}", userNamespaces: [{ regex: "${SERVICE.namespace.replaceAll("\\", "\\\\")}" }] }
`,
    });
  });

  test("#42 #44 is judged without the homeserver, inside its namespaces", async () => {
    for (const base of Object.values(listed.tiers)) {
      for (const query of ["", as(SERVICE.sender), as("@bridged_carol:example.org")]) {
        assert.equal((await ask(base, USAGE + query, { token: SERVICE.token })).status, 200, query);
      }
    }
    assert.deepEqual(its.asked, []);
  });

  test("#43 #45 is left to the homeserver where it names a device, or a user outside of them", async () => {
    for (const base of Object.values(listed.tiers)) {
      const status = async (query: string) => (await ask(base, USAGE + query, { token: SERVICE.token })).status;
      assert.equal(await status(as(PERSON.userId)), 403);
      assert.equal(await status(as("@bridged_carol:example.com")), 403);
      assert.equal(await status(as("@bridged_carol:example.org", "NOBODYS")), 400);
      assert.equal(await status(as("@bridged_carol:example.org", "DEVICE_1")), 200);
    }
    assert.ok(its.asked.length >= 4);
  });
});
