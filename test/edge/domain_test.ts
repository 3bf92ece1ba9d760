import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { HOP_PATHS } from "../../shared/tiers/hop.ts";
import { descriptorKey } from "../../shared/tiers/object_key.ts";
import { PLAIN_POLICY } from "../support/plain_policy.ts";
import { ask } from "./ask.ts";
import { openStage, SERVER, type Stage, TOKEN, v1, v3 } from "./stage.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
  const thumbnail = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
  await stage.publish({ mediaId: "free", bytes: Buffer.from("0123456789") });
  await stage.publish({ mediaId: "free", thumbnail, bytes: Buffer.from("small"), type: "image/jpeg" });
});
after(() => stage.close());

let host = "";
let hosts = 0;
beforeEach(() => {
  hosts += 1;
  host = `host${hosts}.example`;
});

const HIT = "mxcdn-edge; hit";
const SMALL = `/_matrix/media/v3/thumbnail/${SERVER}/free?width=64&height=64&method=crop`;
const NOBODYS = {
  status: 404,
  body: { errcode: "M_UNRECOGNIZED", error: "Nobody is served here", mr_errcode: "M_UNKNOWN_HOST" },
};

const anonymous = (path: string, headers: Record<string, string> = {}) =>
  ask(stage.edge.url, path, { headers: { host, ...headers } });

/** How often it was asked whose this test's host is. */
const asked = () =>
  stage.origin.received.filter(({ url, hop }) => url === HOP_PATHS.domain && hop?.host === host).length;

test("200 requests without a token at once ask once whose the host is, and all of them are hits", async () => {
  const send = () => Promise.all(Array.from({ length: 200 }, () => anonymous(v3("free"))));
  const answers = await stage.edge.gather(200, send);
  assert.deepEqual(new Set(answers.map((answer) => answer.headers["cache-status"])), new Set([HIT]));
  assert.equal(asked(), 1);
});

test("without a token, open ranges and thumbnails are hits too, by the policy of the domain", async () => {
  const sizes = [{ width: 96, height: 96 }];
  stage.origin.domains.set(host, {
    policy: { thumbnails: { ...PLAIN_POLICY.thumbnails, sizes }, openRangeMaxBytes: 4 },
  });
  const open = await anonymous(v3("free"), { range: "bytes=0-" });
  assert.deepEqual([open.status, open.headers["content-range"]], [206, "bytes 0-3/10"]);
  assert.equal(open.headers["cache-status"], HIT);
  const small = await anonymous(SMALL);
  assert.equal(small.headers["cache-status"], HIT);
  assert.equal(small.body.toString(), "small");
  assert.equal(asked(), 1);
});

test("a host that nobody serves is refused as the origin says, every time anew, whatever is asked for", async () => {
  stage.origin.domains.set(host, NOBODYS);
  const ways: [string, Record<string, string>][] = [
    [v3("free"), {}],
    [SMALL, {}],
    [v1("free"), {}],
    [v1("free"), { authorization: `Bearer ${"x".repeat(9_000)}` }],
    [v3("free"), { authorization: "Bearer refused" }],
  ];
  for (const [path, headers] of ways) {
    const answer = await anonymous(path, headers);
    assert.equal(answer.status, 404, path);
    assert.deepEqual(answer.json(), NOBODYS.body);
    assert.equal(answer.headers["cache-control"], "no-store");
  }
  assert.equal(asked(), ways.length);
});

test("without a token where one is needed it is 401, and nothing is looked up", async () => {
  await stage.publish({ mediaId: "locked" });
  const answer = await anonymous(v1("locked"));
  assert.equal(answer.status, 401);
  assert.equal(answer.json().errcode, "M_MISSING_TOKEN");
  assert.equal(answer.headers["access-control-allow-origin"], "*");
  assert.equal((await stage.edge.bucketReads())[descriptorKey({ serverName: SERVER, mediaId: "locked" })], undefined);
});

test("whoever brings a good token is not asked about: the verdict is bound to the host", async () => {
  stage.origin.domains.set(host, NOBODYS);
  const answer = await ask(stage.edge.url, v1("free"), { token: TOKEN, headers: { host } });
  assert.equal(answer.headers["cache-status"], HIT);
  assert.equal(asked(), 0);
});

test("an origin that does not say whose a host is cannot be understood: 502", async () => {
  stage.origin.domains.set(host, { server_name: "no server name" });
  assert.equal((await anonymous(v3("free"))).status, 502);
});
