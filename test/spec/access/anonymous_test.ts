import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { ACCOUNTS, startStack, type TestStack } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, jsonOf, told, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { assertAlike } from "../tiers/assert_alike.ts";

/** Whoever brings no token, where several homeservers are served: what they hear, and what the edge answers by itself. */

const USER = "token_of_user";
const SERVED = { host: "example.org" };
const V1 = "/_matrix/client/v1/media";
const V3 = "/_matrix/media/v3";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let id: string;

before(async () => {
  const { url } = await startHomeserver(ACCOUNTS).then((homeserver) => {
    lifetime.after(() => homeserver.close());
    return homeserver;
  });
  stack = await startStack(lifetime, {
    homeservers: { "example.org": url, "two.example": url },
    yaml: "downloads: { defaultRangeChunkSizeBytes: 1000 }",
  });
  id = await upload(stack.tiers.edge, USER, await makePhoto(640, 480), { type: "image/jpeg", headers: SERVED });
  await stack.origin.app.db.query("UPDATE media SET frozen = false");
});

const paths = () => [
  `${V3}/download/${id}`,
  `${V3}/thumbnail/${id}?width=320&height=240&method=scale`,
  `${V1}/download/${id}`,
  `${V1}/thumbnail/${id}?width=320&height=240&method=scale`,
];

describe("a host that nobody serves", () => {
  for (const token of [undefined, USER, "nobody", "\u20ac"]) {
    test(`is 404 M_UNKNOWN_HOST at both tiers, with ${token ?? "no"} token`, async () => {
      for (const path of paths()) {
        const asking = { headers: { host: "evil.example" } };
        const query =
          token === undefined ? "" : `${path.includes("?") ? "&" : "?"}access_token=${encodeURIComponent(token)}`;
        const heard = await assertAlike(stack.tiers, path + query, asking);
        assert.equal(heard.status, 404, path);
        assert.equal(JSON.parse(Buffer.from(heard.body, "base64").toString()).mr_errcode, "M_UNKNOWN_HOST", path);
      }
    });
  }
});

describe("a host that somebody serves, without a token", () => {
  test("is 401 M_MISSING_TOKEN where one is needed", async () => {
    assert.equal((await assertAlike(stack.tiers, `${V1}/download/${id}`, { headers: SERVED })).status, 401);
    const heard = await ask(stack.tiers.edge, `${V1}/download/${id}`, { headers: SERVED });
    assert.equal(jsonOf(heard).errcode, "M_MISSING_TOKEN");
  });

  const ways: readonly [string, string, Record<string, string>?][] = [
    ["a whole", `${V3}/download/{id}`],
    ["a thumbnail", `${V3}/thumbnail/{id}?width=320&height=240&method=scale`],
    ["an open range", `${V3}/download/{id}`, { range: "bytes=0-" }],
  ];
  for (const [name, template, headers] of ways) {
    test(`${name} of what is not frozen becomes a hit, the same as at the origin`, async () => {
      const path = template.replace("{id}", id);
      const asking = { headers: { ...SERVED, ...headers } };
      const first = await ask(stack.tiers.edge, path, asking);
      assert.ok(first.status < 300, `${first.status} ${first.body}`);
      const later = await untilHit(() => ask(stack.tiers.edge, path, asking));
      assert.deepEqual(told(later), told(await ask(stack.tiers.origin, path, asking)));
    });
  }
});
