import assert from "node:assert/strict";
import { test } from "node:test";
import { answerFederation, formatBoundary } from "./federation_answer.ts";
import { parseBoundary } from "./multipart_mixed.ts";

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
    assert.equal(parseBoundary(answerFederation(boundary, MEDIA).headers["content-type"]), boundary);
  }
});
