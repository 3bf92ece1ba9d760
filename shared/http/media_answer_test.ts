import assert from "node:assert/strict";
import { test } from "node:test";
import { MatrixError } from "../matrix/matrix_error.ts";
import { answerMedia, type ServedMedia } from "./media_answer.ts";
import { COMMON_HEADERS, errorAnswer } from "./respond.ts";

const SHA = "0123456789abcdef".repeat(4);
const media: ServedMedia = {
  kind: "download",
  type: "image/png",
  name: "photo 1.png",
  size: 1000,
  sha256: SHA,
  created: Date.UTC(2024, 0, 2, 3, 4, 5, 678),
  openRangeMaxBytes: 0,
};
const SAME = "Tue, 02 Jan 2024 03:04:05 GMT";
const ask = (headers: Record<string, string> = {}, method = "GET") => ({
  method,
  header: (name: string) => headers[name],
});

test("the whole body is answered with everything that a client needs", () => {
  const answer = answerMedia(ask(), media);
  assert.deepEqual(answer, {
    status: 200,
    headers: {
      ...COMMON_HEADERS,
      "content-type": "image/png",
      "content-length": "1000",
      "content-disposition": 'inline; filename="photo 1.png"',
      etag: `"${SHA}"`,
      "last-modified": SAME,
      "accept-ranges": "bytes",
      "cache-control": "private, max-age=259200, no-transform",
    },
  });
});

test("an answer that another Accept header would change says so, also when nothing was modified", () => {
  const varying = { ...media, variesByAccept: true };
  assert.equal(answerMedia(ask(), varying).headers.vary, "Accept");
  assert.equal(answerMedia(ask({ "if-none-match": `"${SHA}"` }), varying).headers.vary, "Accept");
  assert.equal(answerMedia(ask({ range: "bytes=0-1" }), varying).headers.vary, "Accept");
  assert.equal("vary" in answerMedia(ask(), { ...media, variesByAccept: false }).headers, false);
});

test("all headers are text that every server accepts", () => {
  const answer = answerMedia(ask(), { ...media, type: "a/b; x=é\r\nX: y", name: "é\r\nX: y" });
  for (const [name, value] of Object.entries(answer.headers)) assert.match(value, /^[ -~]*$/, name);
  assert.equal(answer.headers["content-type"], "a/b");
});

test("the disposition is decided by the type that is sent", () => {
  const answer = answerMedia(ask(), { ...media, type: "image/png, text/html", name: undefined });
  assert.equal(answer.headers["content-type"], "application/octet-stream");
  assert.equal(answer.headers["content-disposition"], "attachment");
});

test("a thumbnail is inline under a name of ours", () => {
  const thumbnail = (type: string) =>
    answerMedia(ask(), { ...media, kind: "thumbnail", type }).headers["content-disposition"];
  assert.equal(thumbnail("image/jpeg"), 'inline; filename="thumbnail.jpg"');
  assert.equal(thumbnail("image/webp"), 'inline; filename="thumbnail.webp"');
  assert.equal(thumbnail("image/svg+xml"), 'attachment; filename="thumbnail"');
});

test("a range is answered with its exact length and place", () => {
  const answer = answerMedia(ask({ range: "bytes=100-199" }), media);
  assert.equal(answer.status, 206);
  assert.deepEqual(answer.slice, { offset: 100, length: 100 });
  assert.equal(answer.headers["content-length"], "100");
  assert.equal(answer.headers["content-range"], "bytes 100-199/1000");
  assert.equal(answer.headers["content-type"], "image/png");
  const bounded = { ...media, openRangeMaxBytes: 50 };
  assert.equal(answerMedia(ask({ range: "bytes=0-" }), bounded).headers["content-range"], "bytes 0-49/1000");
  assert.equal(answerMedia(ask({ range: "bytes=900-" }), bounded).headers["content-range"], "bytes 900-999/1000");
});

test("a range outside the body is a 416 that names the size", () => {
  assert.throws(
    () => answerMedia(ask({ range: "bytes=1000-" }), media),
    (error: unknown) => {
      assert.ok(error instanceof MatrixError);
      const answer = errorAnswer(error);
      assert.equal(answer.status, 416);
      assert.equal(answer.headers["content-range"], "bytes */1000");
      return JSON.parse(answer.body ?? "").errcode === "M_UNKNOWN";
    },
  );
});

test("a copy that is still good is a 304 without a body's headers", () => {
  for (const headers of [{ "if-none-match": `W/"${SHA}"` }, { "if-modified-since": SAME }]) {
    for (const method of ["GET", "HEAD"]) {
      const answer = answerMedia(ask(headers, method), media);
      assert.equal(answer.status, 304);
      assert.equal(answer.slice, undefined);
      assert.equal(answer.headers.etag, `"${SHA}"`);
      assert.equal(answer.headers["access-control-allow-origin"], "*");
      for (const name of ["content-length", "content-type", "content-range"])
        assert.equal(answer.headers[name], undefined);
    }
  }
});

test("what is not what the client makes its condition is a 412 that says what it is, before 304 and 416", () => {
  const failing = [
    { "if-match": '"other"' },
    { "if-match": `W/"${SHA}"`, "if-none-match": `"${SHA}"` },
    { "if-match": '"other"', range: "bytes=5000-" },
    { "if-unmodified-since": "Tue, 02 Jan 2024 03:04:04 GMT", "if-modified-since": SAME },
  ];
  for (const headers of failing as Record<string, string>[]) {
    for (const method of ["GET", "HEAD"]) {
      assert.throws(
        () => answerMedia(ask(headers, method), media),
        (error: unknown) => {
          assert.ok(error instanceof MatrixError);
          const answer = errorAnswer(error);
          assert.equal(answer.headers.etag, `"${SHA}"`);
          return answer.status === 412 && JSON.parse(answer.body ?? "").errcode === "M_UNKNOWN";
        },
      );
    }
  }
  assert.equal(answerMedia(ask({ "if-match": `"${SHA}"`, "if-none-match": `"${SHA}"` }), media).status, 304);
  assert.equal(answerMedia(ask({ "if-match": `"${SHA}"`, range: "bytes=0-9" }), media).status, 206);
});

test("conditions come before ranges, even unsatisfiable ones", () => {
  const headers = { "if-none-match": `"${SHA}"`, range: "bytes=5000-" };
  assert.equal(answerMedia(ask(headers), media).status, 304);
});

test("If-Range decides whether the range counts", () => {
  const status = (ifRange: string) => answerMedia(ask({ range: "bytes=0-9", "if-range": ifRange }), media).status;
  assert.equal(status(`"${SHA}"`), 206);
  assert.equal(status(SAME), 206);
  assert.equal(status('"other"'), 200);
  assert.equal(status(`W/"${SHA}"`), 200);
  const stale = answerMedia(ask({ range: "bytes=5000-", "if-range": '"other"' }), media);
  assert.equal(stale.status, 200);
});

test("HEAD has the headers of the whole body, whatever range it asks for", () => {
  const get = answerMedia(ask(), media);
  for (const range of ["bytes=0-9", "bytes=5000-"]) assert.deepEqual(answerMedia(ask({ range }, "HEAD"), media), get);
});

test("an empty body is served", () => {
  const answer = answerMedia(ask({ range: "bytes=-5" }), { ...media, size: 0 });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-length"], "0");
});
