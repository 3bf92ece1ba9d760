import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuMsOf } from "../../test/support/cpu_time.ts";
import { frameLocation, frameMedia, parseBoundary } from "./multipart_mixed.ts";

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

test("a redirecting part has Location as its only header and no body", () => {
  const frame = frameLocation("b", "https://cdn.example/x?sig=1");
  assert.equal(
    text(frame.head) + text(frame.tail),
    "\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nLocation: https://cdn.example/x?sig=1\r\n\r\n\r\n--b--\r\n",
  );
});

test("nothing can be smuggled into the envelope", () => {
  for (const bad of ["a\r\nX: y", "a\nb", "a\0b", "a\x7fb"]) {
    assert.throws(() => frameLocation("b", bad));
    assert.throws(() => frameMedia("b", { contentType: bad, contentDisposition: "inline" }));
    assert.throws(() => frameMedia("b", { contentType: "a/b", contentDisposition: bad }));
  }
  for (const bad of ["", "a b", 'a"', "a;b", "a-b", "x".repeat(71)])
    assert.throws(() => frameLocation(bad, "https://x"), bad);
});

test("the boundary is read from any form of the header", () => {
  const expected: [string, string | undefined][] = [
    ["multipart/mixed; boundary=abc", "abc"],
    ["Multipart/Mixed;BOUNDARY=abc", "abc"],
    ['multipart/mixed; boundary="a b;c=d"', "a b;c=d"],
    ['multipart/mixed; boundary="a\\"b"', 'a"b'],
    ["multipart/mixed; charset=utf-8; boundary=abc; x=y", "abc"],
    ['multipart/mixed; x="a; boundary=no"; boundary=yes', "yes"],
    ["multipart/mixed ; boundary = abc ;", "abc"],
    ["multipart/mixed; boundary=a/b:c=?d", "a/b:c=?d"],
    [`multipart/mixed; boundary=${"x".repeat(70)}`, "x".repeat(70)],
    [`multipart/mixed; boundary=${"x".repeat(71)}`, undefined],
    ['multipart/mixed; boundary=""', undefined],
    ["multipart/mixed; boundary=", undefined],
    ["multipart/mixed; boundary=é", undefined],
    ["multipart/mixed", undefined],
    ["multipart/mixedup; boundary=abc", undefined],
    ["multipart/form-data; boundary=abc", undefined],
    ["text/plain", undefined],
    ["", undefined],
  ];
  for (const [header, boundary] of expected) assert.equal(parseBoundary(header), boundary, header);
  assert.equal(parseBoundary(null), undefined);
  assert.equal(parseBoundary(undefined), undefined);
});

test("a hostile header is read in linear time", () => {
  const tookMs = cpuMsOf(() => {
    parseBoundary(`multipart/mixed; ${'a="\\x'.repeat(20_000)}`);
    parseBoundary(`multipart/mixed${"; ".repeat(50_000)}`);
  });
  assert.ok(tookMs < 1000, `${tookMs} ms`);
});
