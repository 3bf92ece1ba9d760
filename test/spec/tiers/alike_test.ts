import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { type Asking, ask, jsonOf, told, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { requestsSeen } from "../../support/requests_seen.ts";
import { assertAlike } from "./assert_alike.ts";

const USER = "token_of_user";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let photo: Buffer;
const ids: Record<string, string> = {};

before(async () => {
  stack = await startStack(lifetime);
  photo = await makePhoto(640, 480);
  const { origin } = stack.tiers;
  ids.photo = await upload(origin, USER, photo, { type: "image/jpeg", name: 'a photo; of "Ω".jpg' });
  ids.text = await upload(origin, USER, "words ".repeat(50), {
    type: "text/plain; charset=utf-8",
    name: "words.txt",
  });
  ids.page = await upload(origin, USER, "<html>".repeat(50), { type: "text/html" });
  ids.bytes = await upload(origin, USER, Buffer.alloc(5000, 7));
});

/** Every request that both tiers must answer alike. `{photo}` and its like stand for media that was uploaded. */
const CASES: readonly [string, string, Asking?][] = [
  ["a download", "/_matrix/client/v1/media/download/{photo}", { token: USER }],
  ["a download under another name", "/_matrix/client/v1/media/download/{photo}/caf%C3%A9%2Fx.jpg", { token: USER }],
  ["a download under dots", "/_matrix/client/v1/media/download/{photo}/%2e%2e", { token: USER }],
  ["a download under plain dots", "/_matrix/client/v1/media/download/{photo}/..", { token: USER }],
  ["a download under one plain dot", "/_matrix/client/v1/media/download/{photo}/.", { token: USER }],
  [
    "a download under a path of another system",
    "/_matrix/client/v1/media/download/{photo}/C%3A%5Cd%5Cx.doc",
    { token: USER },
  ],
  ["a download under a turned name", "/_matrix/client/v1/media/download/{photo}/a%E2%80%AEgpj.exe", { token: USER }],
  ["a text", "/_matrix/client/v1/media/download/{text}", { token: USER }],
  ["a page, which is not shown inline", "/_matrix/client/v1/media/download/{page}", { token: USER }],
  ["bytes of no type", "/_matrix/client/v1/media/download/{bytes}", { token: USER }],
  ["a HEAD", "/_matrix/client/v1/media/download/{photo}", { token: USER, method: "HEAD" }],
  ["a first range", "/_matrix/client/v1/media/download/{bytes}", { token: USER, headers: { range: "bytes=0-99" } }],
  ["a suffix range", "/_matrix/client/v1/media/download/{bytes}", { token: USER, headers: { range: "bytes=-10" } }],
  ["an open range", "/_matrix/client/v1/media/download/{bytes}", { token: USER, headers: { range: "bytes=4000-" } }],
  ["a range outside", "/_matrix/client/v1/media/download/{bytes}", { token: USER, headers: { range: "bytes=9000-" } }],
  ["two ranges", "/_matrix/client/v1/media/download/{bytes}", { token: USER, headers: { range: "bytes=0-1,5-6" } }],
  ["a broken range", "/_matrix/client/v1/media/download/{bytes}", { token: USER, headers: { range: "bytes=x" } }],
  [
    "If-None-Match of anything",
    "/_matrix/client/v1/media/download/{photo}",
    { token: USER, headers: { "if-none-match": "*" } },
  ],
  ["If-Match of another", "/_matrix/client/v1/media/download/{photo}", { token: USER, headers: { "if-match": '"x"' } }],
  [
    "If-Unmodified-Since of long ago",
    "/_matrix/client/v1/media/download/{photo}",
    { token: USER, headers: { "if-unmodified-since": "Sat, 01 Jan 2000 00:00:00 GMT" } },
  ],
  [
    "If-Match of another thumbnail",
    "/_matrix/client/v1/media/thumbnail/{photo}?width=96&height=96&method=crop",
    { token: USER, headers: { "if-match": '"x"' } },
  ],
  [
    "a range with a stale If-Range",
    "/_matrix/client/v1/media/download/{bytes}",
    { token: USER, headers: { range: "bytes=0-9", "if-range": '"old"' } },
  ],
  [
    "a scaled thumbnail",
    "/_matrix/client/v1/media/thumbnail/{photo}?width=320&height=240&method=scale",
    { token: USER },
  ],
  ["a cropped thumbnail", "/_matrix/client/v1/media/thumbnail/{photo}?width=96&height=96&method=crop", { token: USER }],
  ["a thumbnail without a width", "/_matrix/client/v1/media/thumbnail/{photo}?height=240", { token: USER }],
  ["a thumbnail of width 0", "/_matrix/client/v1/media/thumbnail/{photo}?width=0&height=240", { token: USER }],
  [
    "a thumbnail of an evil method",
    "/_matrix/client/v1/media/thumbnail/{photo}?width=1&height=1&method=evil",
    { token: USER },
  ],
  [
    "a thumbnail of what is no picture",
    "/_matrix/client/v1/media/thumbnail/{bytes}?width=32&height=32",
    { token: USER },
  ],
  ["a wait that is no number", "/_matrix/client/v1/media/download/{photo}?timeout_ms=soon", { token: USER }],
  ["a legacy path that may maybe redirect", "/_matrix/media/v3/download/{photo}?allow_redirect=maybe", { token: USER }],
  ["no token", "/_matrix/client/v1/media/download/{photo}"],
  ["no token and no width", "/_matrix/client/v1/media/thumbnail/{photo}"],
  ["a token that nobody knows", "/_matrix/client/v1/media/download/{photo}", { token: "nobody" }],
  ["a guest", "/_matrix/client/v1/media/download/{photo}", { token: "token_of_guest" }],
  ["a guest who wants the configuration", "/_matrix/client/v1/media/config", { token: "token_of_guest" }],
  ["frozen media without a token", "/_matrix/media/v3/download/{photo}"],
  ["frozen media on the legacy path with a token", "/_matrix/media/v3/download/{photo}", { token: USER }],
  ["media that does not exist", "/_matrix/client/v1/media/download/example.org/nothing", { token: USER }],
  ["a media id of 300 characters", `/_matrix/client/v1/media/download/example.org/${"a".repeat(300)}`, { token: USER }],
  ["encoded dots as a media id", "/_matrix/client/v1/media/download/example.org/%2e%2e", { token: USER }],
  ["encoded traversal", "/_matrix/client/v1/media/download/127.0.0.1/..%2f..%2fetc%2fpasswd", { token: USER }],
  ["plain traversal", "/_matrix/client/v1/media/download/127.0.0.1/../../../etc/passwd", { token: USER }],
  ["a NUL in the id", "/_matrix/client/v1/media/download/example.org/a%00b", { token: USER }],
  ["a broken percent-encoding", "/_matrix/client/v1/media/download/example.org/a%zz", { token: USER }],
  ["a server name that is none", "/_matrix/client/v1/media/download/exa_mple/abc", { token: USER }],
  ["the configuration", "/_matrix/client/v1/media/config", { token: USER }],
  ["the configuration without a token", "/_matrix/media/v3/config"],
  ["an unknown path", "/_matrix/client/v1/media/nonsense", { token: USER }],
  ["a path outside", "/nonsense"],
  ["a method that is not allowed", "/_matrix/media/v3/upload", { method: "GET", token: USER }],
  ["a DELETE of a download path", "/_matrix/client/v1/media/download/{photo}", { method: "DELETE", token: USER }],
  ["a preflight", "/_matrix/client/v1/media/download/{photo}", { method: "OPTIONS" }],
  ["an upload without a token", "/_matrix/media/v3/upload", { method: "POST", body: "x".repeat(200) }],
  ["an upload that is too small", "/_matrix/media/v3/upload", { method: "POST", body: "x", token: USER }],
  [
    "an upload by a guest",
    "/_matrix/media/v3/upload",
    { method: "POST", body: "x".repeat(200), token: "token_of_guest" },
  ],
];

describe("both tiers answer alike", () => {
  for (const [name, template, asking] of CASES) {
    test(name, async () => {
      const path = template.replace(/\{(\w+)\}/, (_, which: string) => ids[which] ?? which);
      await assertAlike(stack.tiers, path, asking);
    });
  }

  test("an upload through the edge comes back byte for byte from both", async () => {
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
    const id = await upload(stack.tiers.edge, USER, body, { name: "🐔.bin" });
    for (const base of [stack.tiers.origin, stack.tiers.edge, stack.tiers.edge]) {
      const heard = await ask(base, `/_matrix/client/v1/media/download/${id}`, { token: USER });
      assert.equal(heard.status, 200);
      assert.ok(heard.body.equals(body));
    }
  });
});

describe("what was asked for at the edge is a hit from when it is published", () => {
  const paths: readonly [string, string, Record<string, string>?][] = [
    ["a download", "/_matrix/client/v1/media/download/{new}"],
    ["a thumbnail", "/_matrix/client/v1/media/thumbnail/{new}?width=96&height=96&method=crop"],
    ["a range", "/_matrix/client/v1/media/download/{new}", { range: "bytes=10-19" }],
  ];
  for (const [name, template, headers] of paths) {
    test(name, async () => {
      const id = await upload(stack.tiers.origin, USER, await makePhoto(400, 300), { type: "image/jpeg" });
      const asking = { token: USER, headers: headers ?? {} };
      const path = template.replace("{new}", id);
      const first = await ask(stack.tiers.edge, path, asking);
      assert.ok(first.status < 300, `${first.status} ${first.body}`);
      await untilHit(() => ask(stack.tiers.edge, path, asking));
      const seen = await requestsSeen(stack.origin.app.metrics);
      for (let times = 0; times < 5; times += 1) {
        const heard = await ask(stack.tiers.edge, path, asking);
        assert.match(heard.headers["cache-status"] ?? "", /hit/);
        assert.deepEqual(told(heard), told(first));
      }
      assert.equal(await requestsSeen(stack.origin.app.metrics), seen, "the origin was not asked again");
    });
  }
});

test("a download after its thumbnail becomes a hit", async () => {
  const id = await upload(stack.tiers.origin, USER, await makePhoto(400, 300), { type: "image/jpeg" });
  const asking = { token: USER };
  await ask(stack.tiers.edge, `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`, asking);
  await untilHit(() => ask(stack.tiers.edge, `/_matrix/client/v1/media/download/${id}`, asking));
});

test("authenticated answers are never public, and refusals are never stored", async () => {
  const shown = await ask(stack.tiers.edge, `/_matrix/client/v1/media/download/${ids.photo}`, { token: USER });
  assert.match(shown.headers["cache-control"] ?? "", /^private/);
  const refused = await ask(stack.tiers.edge, `/_matrix/client/v1/media/download/${ids.photo}`, { token: "nobody" });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers["cache-control"], "no-store");
  assert.equal(jsonOf(refused).errcode, "M_UNKNOWN_TOKEN");
});
