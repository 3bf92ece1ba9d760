import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startOrigin, type TestOrigin } from "../../support/app.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { bytes, download } from "../uploads/stage.ts";

const HERE = { host: "example.org" };
const THERE = { host: "example.com" };
const lifetime = lifetimeOfSuite();
let origin: TestOrigin;
let here: FakeHomeserver;

before(async () => {
  here = await startHomeserver({
    token_of_user: { user_id: "@user:example.org" },
    token_of_limited: { user_id: "@limited:example.org" },
    token_of_guest: { user_id: "@guest:example.org", is_guest: true },
  });
  const there = await startHomeserver({ token_of_author: { user_id: "@author:example.com" } });
  lifetime.after(() => here.close());
  lifetime.after(() => there.close());
  origin = await startOrigin(lifetime, {
    homeservers: { "example.org": here.url, "example.com": there.url },
    yaml: 'uploads: { quotas: { enabled: true, users: [{ glob: "@limited:*", maxBytes: 300 }] } }',
  });
});

const copyOf = (id: string, token: string | undefined, prefix = "unstable") =>
  ask(origin.url, `/_matrix/media/${prefix}/local_copy/${id}`, { token, headers: HERE });
const usageOf = async (token: string) =>
  jsonOf(await ask(origin.url, "/_matrix/media/v3/usage", { token, headers: HERE }))["m.storage.used"];

describe("local copy", () => {
  test("gives media of another server an id of the user's own server, on the same body, charged to the user", async () => {
    const body = bytes(400);
    const id = await upload(origin.url, "token_of_author", body, { type: "text/css", name: "a b.css", headers: THERE });
    assert.match(id, /^example\.com\//);
    const used = Number(await usageOf("token_of_user"));
    for (const prefix of ["unstable", "unstable/io.t2bot.media"]) {
      const heard = await copyOf(id, "token_of_user", prefix);
      assert.equal(heard.status, 200, heard.body.toString());
      const uri = String(jsonOf(heard).content_uri);
      assert.match(uri, /^mxc:\/\/example\.org\/[A-Za-z0-9_-]+$/);
      const copy = await ask(origin.url, download(uri.replace("mxc://", "")), {
        token: "token_of_user",
        headers: HERE,
      });
      assert.deepEqual(copy.body, body);
      assert.equal(copy.headers["content-type"], "text/css");
      assert.match(copy.headers["content-disposition"] ?? "", /a b\.css/);
    }
    assert.equal(await usageOf("token_of_user"), used + 800);
  });

  test("stays when the original is deleted", async () => {
    const body = bytes(400);
    const id = await upload(origin.url, "token_of_author", body, { headers: THERE });
    const copy = String(jsonOf(await copyOf(id, "token_of_user")).content_uri).replace("mxc://", "");
    const path = `/_matrix/media/unstable/download/${id}`;
    const deleted = await ask(origin.url, path, { method: "DELETE", token: "token_of_author", headers: THERE });
    assert.equal(deleted.status, 200);
    const heard = await ask(origin.url, download(copy), { token: "token_of_user", headers: HERE });
    assert.deepEqual(heard.body, body);
  });

  test("of the user's own server's media is refused, as is one beyond the quota, or of what is not there", async () => {
    const own = await upload(origin.url, "token_of_user", bytes(), { headers: HERE });
    const heard = await copyOf(own, "token_of_user");
    assert.equal(heard.status, 400);
    assert.equal(jsonOf(heard).errcode, "M_INVALID_PARAM");
    const id = await upload(origin.url, "token_of_author", bytes(301), { headers: THERE });
    const limited = await copyOf(id, "token_of_limited");
    assert.equal(limited.status, 403);
    assert.equal(jsonOf(limited).mr_errcode, "M_QUOTA_EXCEEDED");
    assert.equal((await copyOf("example.com/nobodyEver", "token_of_user")).status, 404);
  });

  test("needs a token, and no guest's", async () => {
    assert.equal((await copyOf("example.com/abc", undefined)).status, 401);
    assert.equal((await copyOf("example.com/abc", "token_of_guest")).status, 403);
  });
});

describe("two domains", () => {
  test("an id reserved at one server is not found by its name at the other", async () => {
    const asking = { method: "POST", token: "token_of_author", headers: THERE };
    const id = String(jsonOf(await ask(origin.url, "/_matrix/media/v1/create", asking)).content_uri).replace(
      "mxc://",
      "",
    );
    const path = `/_matrix/media/v3/upload/${id}`;
    const heard = await ask(origin.url, path, { method: "PUT", token: "token_of_user", headers: HERE, body: bytes() });
    assert.equal(heard.status, 404);
    assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
  });
});
