import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { adminOf, startStack, type TestStack, userOf } from "../../support/app.ts";
import { askHost, type Heard, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

/** Homeservers of one stack do not see each other's tokens, and their media are told apart by the server name. */

const A = "a.example";
const B = "b.example";
const SERVICE = "token_of_the_service_of_a";
const ROOT = `@root:${A}`;
const CONFIG = "/_matrix/client/v1/media/config";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let drawn: string | undefined;

before(async () => {
  stack = await startStack(lifetime, {
    serverNames: [A, B],
    yaml: `admins: ["${ROOT}"]\n`,
    files: [
      {
        name: "a.yaml",
        text: `homeserver: ${A}
accessTokens:
  useLocalAppserviceConfig: true
  appservices: [{ id: bridge, asToken: ${SERVICE}, senderUserId: "@bot:${A}", userNamespaces: [{ regex: "^@.*" }] }]
`,
      },
    ],
    overrides: { makeMediaId: () => drawn ?? `id${Math.random().toString(36).slice(2)}` },
  });
});

const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];
  const send = async (host: string, token: string, body: string) => {
    const heard = await askHost(base(), host, "/_matrix/media/v3/upload", { method: "POST", token, body });
    assert.equal(heard.status, 200, heard.body.toString());
    return String(jsonOf(heard).content_uri).replace("mxc://", "");
  };
  const remove = (host: string, token: string, id: string) =>
    askHost(base(), host, `/_matrix/media/unstable/download/${id}`, { method: "DELETE", token });

  describe(`tenants through the ${tier}`, () => {
    test("#33 #47 a token is good at its own homeserver only, however often it was found good there", async () => {
      const id = await send(A, userOf(A), "words of a ".repeat(50));
      const paths = [
        CONFIG,
        download(id),
        `/_matrix/client/v1/media/thumbnail/${id}?width=1`,
        "/_matrix/media/v3/usage",
      ];
      for (let times = 0; times < 3; times += 1) {
        for (const [own, foreign] of [
          [A, B],
          [B, A],
        ] as const) {
          assert.equal((await askHost(base(), own, download(id), { token: userOf(own) })).status, 200);
          for (const path of paths) refused(await askHost(base(), foreign, path, { token: userOf(own) }));
          for (const host of [foreign, foreign.toUpperCase(), `${foreign}:443`]) {
            refused(await askHost(base(), host, CONFIG, { token: userOf(own) }));
          }
        }
      }
      const upload = await askHost(base(), B, "/_matrix/media/v3/upload", {
        method: "POST",
        token: userOf(A),
        body: "x".repeat(200),
      });
      refused(upload);
    });

    test("a token that both homeservers know is another user at each", async () => {
      const token = `of_both_${tier}`;
      for (const name of [A, B]) stack.homeservers[name]?.accounts.set(token, { user_id: `@both:${name}` });
      const ids = { [A]: await send(A, token, "words ".repeat(50)), [B]: await send(B, token, "words ".repeat(50)) };
      for (const [name, id] of Object.entries(ids)) {
        assert.ok(id.startsWith(`${name}/`));
        assert.equal(await uploaderOf(id), `@both:${name}`);
      }
    });

    test("an application service of one is none of the other, whoever it says it is", async () => {
      const asB = `?user_id=${encodeURIComponent(`@user:${B}`)}`;
      assert.equal((await askHost(base(), A, CONFIG, { token: SERVICE })).status, 200);
      refused(await askHost(base(), B, CONFIG, { token: SERVICE }));
      refused(await askHost(base(), B, CONFIG + asB, { token: SERVICE }));
      // Its namespaces may say anything: a user of another homeserver it is not.
      assert.notEqual((await askHost(base(), A, CONFIG + asB, { token: SERVICE })).status, 200);
    });

    test("#26 equal ids at two homeservers are two media, with bytes, types and fates of their own", async () => {
      drawn = `the_same_${tier}`;
      const ofA = await send(A, userOf(A), "words of a ".repeat(50));
      const ofB = await send(B, userOf(B), "words of b ".repeat(50));
      drawn = undefined;
      assert.deepEqual([ofA, ofB], [`${A}/the_same_${tier}`, `${B}/the_same_${tier}`]);
      const text = async (id: string, host: string) =>
        (await askHost(base(), host, download(id), { token: userOf(host) })).body.toString();
      for (let times = 0; times < 2; times += 1) {
        for (const host of [A, B]) {
          assert.match(await text(ofA, host), /^words of a /);
          assert.match(await text(ofB, host), /^words of b /);
        }
      }
      assert.equal((await remove(A, userOf(A), ofA)).status, 200);
      await stack.edge.forget();
      assert.equal((await askHost(base(), A, download(ofA), { token: userOf(A) })).status, 404);
      assert.match(await text(ofB, A), /^words of b /);
    });

    test("media of one is there for the users of the other, who may not touch it, nor may their administrators", async () => {
      const id = await send(A, userOf(A), "words of a ".repeat(50));
      assert.equal((await askHost(base(), B, download(id), { token: userOf(B) })).status, 200);
      for (const token of [userOf(B), adminOf(B)]) {
        const heard = await remove(B, token, id);
        assert.equal(heard.status, 403);
        assert.equal(jsonOf(heard).errcode, "M_FORBIDDEN");
      }
      assert.equal((await remove(A, adminOf(A), id)).status, 200);
    });

    test("#77 an id that one has reserved cannot be filled through the other", async () => {
      const created = await askHost(base(), A, "/_matrix/media/v1/create", {
        method: "POST",
        token: userOf(A),
        body: "",
      });
      const id = String(jsonOf(created).content_uri).replace("mxc://", "");
      assert.ok(id.startsWith(`${A}/`));
      const fill = (host: string) =>
        askHost(base(), host, `/_matrix/media/v3/upload/${id}`, {
          method: "PUT",
          token: userOf(host),
          body: "x".repeat(200),
        });
      assert.equal((await fill(B)).status, 404);
      assert.equal((await fill(A)).status, 200);
    });

    test("a homeserver that says whose token it is cannot say that it is a user of the other", async () => {
      const id = await send(A, userOf(A), "words of a ".repeat(50));
      for (const [name, userId] of [
        ["root", ROOT],
        ["user", `@user:${A}`],
      ]) {
        const token = `forged_${name}_${tier}`;
        stack.homeservers[B]?.accounts.set(token, { user_id: String(userId), admin: true });
        const asked = [
          await remove(B, token, id),
          await askHost(base(), B, download(id), { token }),
          await askHost(base(), B, "/_matrix/media/v3/upload", { method: "POST", token, body: "words ".repeat(50) }),
        ];
        for (const heard of asked) {
          assert.equal(heard.status, 503, heard.body.toString());
          assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
          assert.match(heard.headers["retry-after"] ?? "", /^[0-9]+$/);
        }
      }
      assert.equal((await askHost(base(), A, download(id), { token: userOf(A) })).status, 200);
      assert.equal((await askHost(base(), B, download(id), { token: userOf(B) })).status, 200);
    });

    test("a logout at one ends no session at the other", async () => {
      const token = `session_of_both_${tier}`;
      for (const name of [A, B]) stack.homeservers[name]?.accounts.set(token, { user_id: `@session:${name}` });
      for (const host of [A, B]) assert.equal((await askHost(base(), host, CONFIG, { token })).status, 200);
      const out = await askHost(base(), A, "/_matrix/client/v3/logout", { method: "POST", token, body: "" });
      assert.equal(out.status, 200);
      await stack.edge.forget();
      refused(await askHost(base(), A, CONFIG, { token }));
      assert.equal((await askHost(base(), B, CONFIG, { token })).status, 200);
    });
  });
}

function refused(heard: Heard): void {
  assert.equal(heard.status, 401, heard.body.toString());
  assert.equal(jsonOf(heard).errcode, "M_UNKNOWN_TOKEN");
}

async function uploaderOf(id: string): Promise<string | undefined> {
  const { rows } = await stack.origin.app.db.query<{ user_id: string }>(
    "SELECT user_id FROM media WHERE server_name || '/' || media_id = $1",
    [id],
  );
  return rows[0]?.user_id;
}
