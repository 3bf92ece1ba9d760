import assert from "node:assert/strict";
import { before, test } from "node:test";
import { HOP_HEADERS, HOP_PATHS, type Hop, hopHeaders } from "../../../shared/tiers/hop.ts";
import { HOP_SECRET, startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

const USER = "token_of_user";
const UPLOAD = { method: "POST", token: USER, body: "x".repeat(300) };
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let target: string;

before(async () => {
  stack = await startStack(lifetime);
  const id = await upload(stack.tiers.origin, USER, "words ".repeat(100));
  target = `/_matrix/client/v1/media/download/${id}/%2e%2e`;
});

async function sign(hop: Partial<Hop>, secret = HOP_SECRET): Promise<Record<string, string>> {
  const signed = { method: "GET", target, host: "example.org", clientAddress: "203.0.113.1", requestId: "one" };
  return await hopHeaders(secret, { ...signed, timeMs: Date.now(), ...hop });
}

const forward = (headers: Record<string, string>, asking = {}) =>
  ask(stack.tiers.origin, HOP_PATHS.forward, { token: USER, ...asking, headers });

test("a request whose path stands in its signature is answered by that path", async () => {
  const heard = await forward(await sign({}));
  assert.equal(heard.status, 200);
  assert.equal(heard.body.toString(), "words ".repeat(100));
});

test("a path that nobody has signed leads nowhere: 404 M_UNRECOGNIZED, and nothing is done", async () => {
  for (const path of [target, "/healthz", "/_matrix/media/v3/upload", "/_mxcdn/v1/domain", HOP_PATHS.forward]) {
    for (const asking of [{}, UPLOAD]) {
      const heard = await forward({ [HOP_HEADERS.target]: path }, asking);
      assert.equal(heard.status, 404, path);
      assert.equal(jsonOf(heard).errcode, "M_UNRECOGNIZED", path);
    }
  }
  const { rows } = await stack.origin.app.db.query<{ n: unknown }>("SELECT count(*) AS n FROM media");
  assert.equal(Number(rows[0]?.n), 1);
});

test("a signature is for one path and one method, by whoever has the secret", async () => {
  const good = await sign({});
  const forged = [
    { headers: { ...good, [HOP_HEADERS.target]: "/_matrix/media/v3/upload" } },
    { headers: good, ...UPLOAD },
    { headers: await sign({}, "another-secret-that-is-as-long-as-the-first-0123456789") },
  ];
  for (const { headers, ...asking } of forged) assert.equal((await forward(headers, asking)).status, 403);
});

test("the signature of one path opens no other URL", async () => {
  const heard = await ask(stack.tiers.origin, "/_matrix/media/v3/upload", { ...UPLOAD, headers: await sign({}) });
  assert.equal(heard.status, 403);
});
