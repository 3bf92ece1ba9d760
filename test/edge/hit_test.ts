import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answerMedia } from "../../shared/http/media_answer.ts";
import { ask } from "./ask.ts";
import { openStage, SERVER, type Stage, TOKEN, v1 } from "./stage.ts";

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

const BYTES = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));

/** What `shared/http/media_answer` says, which the origin sends too. */
function promised(descriptor: { type: string; size: number; sha256: string; created: number }, range?: string) {
  const header = (name: string) => (name === "range" ? range : undefined);
  const { type, size, sha256, created } = descriptor;
  return answerMedia(
    { method: "GET", header },
    { kind: "download", type, size, sha256, created, openRangeMaxBytes: 0 },
  );
}

test("a hit has the bytes, exactly the headers of the origin, and says that it is one", async () => {
  const descriptor = await stage.publish({ mediaId: "whole", bytes: BYTES });
  const before = stage.origin.received.length;
  const answer = await ask(stage.edge.url, v1("whole"), { token: TOKEN });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, BYTES);
  assert.deepEqual({ ...answer.headers }, { ...promised(descriptor).headers, "cache-status": "mxcdn-edge; hit" });
  assert.equal(answer.headers["content-length"], "100000");
  assert.match(answer.headers["cache-control"] ?? "", /^private\b/);
  await ask(stage.edge.url, v1("whole"), { token: TOKEN });
  const asked = stage.origin.received.slice(before).map((one) => one.url);
  assert.deepEqual(asked, ["/_mxcdn/v1/verdict"], "the origin is asked for the token only, once");
});

test("a text has its exact length too, whatever encodings the client accepts", async () => {
  const bytes = Buffer.from("the same line\n".repeat(1_000));
  await stage.publish({ mediaId: "text", bytes, type: "text/plain" });
  const headers = { "accept-encoding": "gzip, br" };
  const answer = await ask(stage.edge.url, v1("text"), { token: TOKEN, headers });
  assert.equal(answer.headers["content-length"], String(bytes.length));
  assert.equal(answer.headers["content-encoding"], undefined);
  assert.deepEqual(answer.body, bytes);
});

test("an empty media is a hit of no bytes", async () => {
  await stage.publish({ mediaId: "empty", bytes: Buffer.alloc(0) });
  const answer = await ask(stage.edge.url, v1("empty"), { token: TOKEN });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-length"], "0");
  assert.equal(answer.body.length, 0);
});

test("HEAD has the headers of GET, the length included, and no bytes", async () => {
  await stage.publish({ mediaId: "head", bytes: BYTES });
  const get = await ask(stage.edge.url, v1("head"), { token: TOKEN });
  const head = await ask(stage.edge.url, v1("head"), { token: TOKEN, method: "HEAD" });
  assert.equal(head.status, 200);
  assert.deepEqual(head.headers, get.headers);
  assert.equal(head.body.length, 0);
});

test("the name in the path wins over the uploader's", async () => {
  await stage.publish({ mediaId: "named", descriptor: { name: "uploaded.png" } });
  const own = await ask(stage.edge.url, v1("named"), { token: TOKEN });
  const asked = await ask(stage.edge.url, v1("named", "a%20b%2F%C3%A9.png"), { token: TOKEN });
  assert.match(own.headers["content-disposition"] ?? "", /uploaded\.png/);
  assert.doesNotMatch(asked.headers["content-disposition"] ?? "", /uploaded\.png/);
});

test("304 for what the client has, without reading the body", async () => {
  const descriptor = await stage.publish({ mediaId: "known", bodiless: true });
  const same = await ask(stage.edge.url, v1("known"), {
    token: TOKEN,
    headers: { "if-none-match": `W/"${descriptor.sha256}"` },
  });
  assert.equal(same.status, 304);
  assert.equal(same.headers.etag, `"${descriptor.sha256}"`);
  assert.equal(same.headers["cache-status"], "mxcdn-edge; hit");
  const since = await ask(stage.edge.url, v1("known"), {
    token: TOKEN,
    headers: { "if-modified-since": same.headers["last-modified"] ?? "" },
  });
  assert.equal(since.status, 304);
});

test("206 for one range of every form, with exactly those bytes", async () => {
  const descriptor = await stage.publish({ mediaId: "ranged", bytes: BYTES });
  const cases: [string, number, number][] = [
    ["bytes=0-0", 0, 1],
    ["bytes=10-19", 10, 20],
    ["bytes=99990-", 99_990, 100_000],
    ["bytes=-5", 99_995, 100_000],
    ["bytes=50000-999999", 50_000, 100_000],
  ];
  for (const [range, from, to] of cases) {
    const answer = await ask(stage.edge.url, v1("ranged"), { token: TOKEN, headers: { range } });
    assert.equal(answer.status, 206, range);
    assert.deepEqual(answer.body, BYTES.subarray(from, to), range);
    const headers = { ...promised(descriptor, range).headers, "cache-status": "mxcdn-edge; hit" };
    assert.deepEqual({ ...answer.headers }, headers, range);
  }
});

test("416 with the size for a range outside; the whole for several ranges and for a stale If-Range", async () => {
  await stage.publish({ mediaId: "outside", bytes: BYTES });
  const outside = await ask(stage.edge.url, v1("outside"), { token: TOKEN, headers: { range: "bytes=100000-" } });
  assert.equal(outside.status, 416);
  assert.equal(outside.headers["content-range"], "bytes */100000");
  assert.equal(outside.json().errcode, "M_UNKNOWN");
  for (const headers of [{ range: "bytes=0-1,5-6" }, { range: "bytes=0-1", "if-range": '"other"' }]) {
    const answer = await ask(stage.edge.url, v1("outside"), { token: TOKEN, headers });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, BYTES.length);
  }
});

test("an open range is bounded by the policy of the domain, as at the origin", async () => {
  await stage.publish({ mediaId: "bounded", bytes: BYTES });
  const policy = { thumbnails: { sizes: [], dynamicSizing: false, defaultAnimated: false, allowAnimated: true } };
  stage.origin.verdicts.set("bounded", {
    scope: "memory",
    verdict: { policy: { ...policy, openRangeMaxBytes: 1_000 } },
  });
  const answer = await ask(stage.edge.url, v1("bounded"), { token: "bounded", headers: { range: "bytes=0-" } });
  assert.equal(answer.headers["content-range"], "bytes 0-999/100000");
  assert.equal(answer.body.length, 1_000);
  const rest = await ask(stage.edge.url, v1("bounded"), { token: "bounded", headers: { range: "bytes=5-" } });
  assert.equal(rest.headers["content-range"], "bytes 5-99999/100000");
});

test("a thumbnail is found by the size that the policy picks, and has its own type and bytes", async () => {
  const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
  await stage.publish({ mediaId: "picture", type: "image/gif" });
  await stage.publish({ mediaId: "picture", thumbnail: spec, bytes: Buffer.from("small"), type: "image/jpeg" });
  const path = `/_matrix/client/v1/media/thumbnail/${SERVER}/picture?width=64&height=64&method=crop`;
  const answer = await ask(stage.edge.url, path, { token: TOKEN });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["cache-status"], "mxcdn-edge; hit");
  assert.equal(answer.headers["content-type"], "image/jpeg");
  assert.equal(answer.headers["content-disposition"]?.startsWith("inline"), true);
  assert.equal(answer.body.toString(), "small");
  const other = await ask(stage.edge.url, path.replace("64&height=64", "600&height=600"), { token: TOKEN });
  assert.equal(other.headers["cache-status"], "mxcdn-edge; fwd=uri-miss");
});

test("a thumbnail request that is none is answered at the edge, but only to whom may ask", async () => {
  await stage.publish({ mediaId: "odd" });
  const path = `/_matrix/client/v1/media/thumbnail/${SERVER}/odd?width=0&height=10`;
  const known = await ask(stage.edge.url, path, { token: TOKEN });
  assert.equal(known.status, 400);
  assert.equal(known.json().errcode, "M_UNKNOWN");
  const unknown = await ask(stage.edge.url, path, { token: "nobody" });
  assert.equal(unknown.status, 401);
});
