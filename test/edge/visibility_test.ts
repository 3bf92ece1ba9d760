import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { descriptorKey } from "../../shared/tiers/object_key.ts";
import { ask } from "./ask.ts";
import { openStage, SERVER, type Stage, TOKEN, v1, v3 } from "./stage.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

/** The origin would say something else: whoever gets it, was forwarded. */
function originServes(path: string, body = "from the origin"): void {
  stage.origin.on(path, (_request, response) => {
    response.writeHead(200, { "content-type": "image/png", "cache-control": "private" }).end(body);
  });
}

test("erased and quarantined media are 404 M_NOT_FOUND for everybody, and look the same", async () => {
  const key = descriptorKey({ serverName: SERVER, mediaId: "erased" });
  await stage.edge.bucket.put(key, JSON.stringify({ v: 1, gen: 2, gone: true, at: 0 }));
  await stage.publish({ mediaId: "quarantined", descriptor: { quarantined: true } });
  const bodies = [];
  for (const path of [v1("erased"), v3("erased"), v1("quarantined"), v3("quarantined")]) {
    const answer = await ask(stage.edge.url, path, { token: TOKEN });
    assert.equal(answer.status, 404, path);
    assert.equal(answer.headers["cache-control"], "no-store");
    bodies.push(answer.body.toString());
    assert.equal(stage.origin.asked(path), 0);
  }
  assert.equal(new Set(bodies).size, 1);
  assert.equal(JSON.parse(bodies[0] ?? "").errcode, "M_NOT_FOUND");
});

test("a thumbnail is visible only while its media is", async () => {
  const thumbnail = { width: 32, height: 32, method: "crop", animated: false, format: "auto" } as const;
  await stage.publish({ mediaId: "hidden", descriptor: { quarantined: true } });
  await stage.publish({ mediaId: "hidden", thumbnail, bytes: Buffer.from("small") });
  const path = `/_matrix/client/v1/media/thumbnail/${SERVER}/hidden?width=32&height=32&method=crop`;
  assert.equal((await ask(stage.edge.url, path, { token: TOKEN })).status, 404);
});

test("frozen media on a legacy path: 404 without a token, with a guest's or a bad one; served with a user's", async () => {
  await stage.publish({ mediaId: "frozen", descriptor: { frozen: true } });
  stage.origin.verdicts.set("guest", { scope: "memory", verdict: { is_guest: true } });
  assert.equal((await ask(stage.edge.url, v3("frozen"))).status, 404);
  assert.equal((await ask(stage.edge.url, v3("frozen"), { token: "guest" })).status, 404);
  assert.equal((await ask(stage.edge.url, v3("frozen"), { token: "nobody" })).status, 404);
  for (const options of [{ token: TOKEN }, { headers: { authorization: `bearer ${TOKEN}` } }]) {
    const answer = await ask(stage.edge.url, v3("frozen"), options);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit");
  }
  const inQuery = await ask(stage.edge.url, `${v3("frozen")}?access_token=${TOKEN}`);
  assert.equal(inQuery.status, 200);
});

test("guests see media on the authenticated paths", async () => {
  await stage.publish({ mediaId: "for_guests", descriptor: { frozen: true } });
  stage.origin.verdicts.set("another-guest", { scope: "memory", verdict: { is_guest: true } });
  const answer = await ask(stage.edge.url, v1("for_guests"), { token: "another-guest" });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit");
});

test("without a token, what is not frozen is served, under all names that the legacy path ever had", async () => {
  await stage.publish({ mediaId: "free", bytes: Buffer.from("0123456789") });
  const closed = await ask(stage.edge.url, v3("free"), { headers: { range: "bytes=2-3" } });
  assert.equal(closed.body.toString(), "23");
  for (const version of ["v3", "r0", "v1"]) {
    const answer = await ask(stage.edge.url, v3("free").replace("v3", version));
    assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit", version);
    assert.match(answer.headers["cache-control"] ?? "", /^private\b/);
  }
});

test("what the bucket does not know, or has no body for, is the origin's to answer", async () => {
  await stage.publish({ mediaId: "bodiless", bodiless: true });
  await stage.publish({ mediaId: "unpublished", descriptor: { body: undefined } });
  await stage.publish({ mediaId: "cut", descriptor: { size: 5 } });
  await stage.publish({ mediaId: "misplaced", descriptor: { media_id: "other" } });
  const key = descriptorKey({ serverName: SERVER, mediaId: "future" });
  await stage.edge.bucket.put(key, JSON.stringify({ v: 2, gen: 1, anything: "else" }));
  const expected = {
    absent: "fwd=uri-miss",
    bodiless: "fwd=miss; detail=no-body",
    unpublished: "fwd=miss; detail=no-body",
    cut: "fwd=miss; detail=no-body",
    misplaced: "fwd=uri-miss",
    future: "fwd=uri-miss",
  };
  for (const [mediaId, status] of Object.entries(expected)) {
    originServes(v1(mediaId));
    const answer = await ask(stage.edge.url, v1(mediaId), { token: TOKEN });
    assert.equal(answer.body.toString(), "from the origin", mediaId);
    assert.equal(answer.headers["cache-status"], `mxcdn-edge; ${status}`, mediaId);
  }
});

test("a bucket that cannot be read is not an empty one: the origin is asked, and nothing is allowed meanwhile", async () => {
  await stage.publish({ mediaId: "unreadable", descriptor: { quarantined: true } });
  const refused = { errcode: "M_NOT_FOUND", error: "as the origin says" };
  stage.origin.on(v1("unreadable"), (_request, response) => {
    response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify(refused));
  });
  await stage.edge.setBucketMood({ failing: true });
  try {
    const answer = await ask(stage.edge.url, v1("unreadable"), { token: "fresh-but-unknown" });
    assert.equal(answer.status, 401, "a token is never believed because the bucket fails");
    const known = await ask(stage.edge.url, v1("unreadable"), { token: TOKEN });
    assert.equal(known.status, 404);
    assert.equal(known.json().error, "as the origin says");
    assert.equal(known.headers["cache-status"], "mxcdn-edge; fwd=bypass; detail=store-error");
  } finally {
    await stage.edge.setBucketMood({});
  }
});

test("broken ids are 400 at the edge, after the token was judged", async () => {
  const path = `/_matrix/client/v1/media/download/${SERVER}/%2e%2e`;
  assert.equal((await ask(stage.edge.url, path)).status, 401);
  assert.equal((await ask(stage.edge.url, path, { token: "nobody" })).status, 401);
  const answer = await ask(stage.edge.url, path, { token: TOKEN });
  assert.equal(answer.status, 400);
  assert.equal(answer.json().errcode, "M_INVALID_PARAM");
});
