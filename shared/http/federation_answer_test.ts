import assert from "node:assert/strict";
import { test } from "node:test";
import { answerFederation, formatBoundary, frameMedia } from "./federation_answer.ts";

const MEDIA = {
  kind: "download",
  type: "image/png",
  name: 'a;"🐔".png',
  size: 5,
  sha256: "0".repeat(64),
  created: 0,
} as const;

test("media is wrapped with a known length, the type and the name of the client API", () => {
  const answer = answerFederation("b0", MEDIA);
  const text = [answer.head, new TextEncoder().encode("12345"), answer.tail]
    .map((part) => new TextDecoder().decode(part))
    .join("");
  assert.equal(answer.bytes, new TextEncoder().encode(text).byteLength);
  assert.equal(answer.headers["content-length"], String(answer.bytes));
  assert.equal(answer.headers["content-type"], "multipart/mixed; boundary=b0");
  assert.match(answer.headers["cache-control"] ?? "", /private.*no-store/);
  assert.equal(
    text,
    "\r\n--b0\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0\r\nContent-Type: image/png\r\n" +
      'Content-Disposition: inline; filename="a;\\"_\\".png"; filename*=UTF-8\'\'a%3B%22%F0%9F%90%94%22.png\r\n\r\n' +
      "12345\r\n--b0--\r\n",
  );
});

test("a boundary is 32 letters and digits, whatever the bits", () => {
  for (const byte of [0, 15, 255]) {
    const boundary = formatBoundary(new Uint8Array(16).fill(byte));
    assert.match(boundary, /^[0-9a-f]{32}$/);
    const type = answerFederation(boundary, MEDIA).headers["content-type"];
    assert.equal(type, `multipart/mixed; boundary=${boundary}`);
  }
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

test("media is framed in the plain form that strict readers need", () => {
  const frame = frameMedia("gc0p4Jq0M2Yt08jU534c0p", {
    contentType: "text/plain",
    contentDisposition: 'inline; filename="note.txt"',
  });
  assert.equal(frame.contentType, "multipart/mixed; boundary=gc0p4Jq0M2Yt08jU534c0p");
  assert.equal(
    text(frame.head),
    "\r\n--gc0p4Jq0M2Yt08jU534c0p\r\nContent-Type: application/json\r\n\r\n{}\r\n--gc0p4Jq0M2Yt08jU534c0p\r\n" +
      'Content-Type: text/plain\r\nContent-Disposition: inline; filename="note.txt"\r\n\r\n',
  );
  assert.equal(text(frame.tail), "\r\n--gc0p4Jq0M2Yt08jU534c0p--\r\n");
});

test("the length is that of head, media and tail in bytes", () => {
  const frame = frameMedia("b", { contentType: "text/plain", contentDisposition: 'inline; filename="é🐔"' });
  const body = Buffer.concat([frame.head, Buffer.alloc(1000), frame.tail]);
  assert.equal(frame.lengthWith(1000), body.byteLength);
  assert.ok(text(frame.head).includes("é🐔"));
});

test("nothing can be smuggled into the envelope", () => {
  for (const bad of ["a\r\nX: y", "a\nb", "a\0b", "a\x7fb"]) {
    assert.throws(() => frameMedia("b", { contentType: bad, contentDisposition: "inline" }));
    assert.throws(() => frameMedia("b", { contentType: "a/b", contentDisposition: bad }));
  }
  for (const bad of ["", "a b", 'a"', "a;b", "a-b", "x".repeat(71)])
    assert.throws(() => frameMedia(bad, { contentType: "a/b", contentDisposition: "inline" }), bad);
});
