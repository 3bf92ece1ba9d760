import assert from "node:assert/strict";
import { test } from "node:test";
import { frameMedia } from "../../../shared/http/federation_answer.ts";
import { cpuMsOf } from "../../../test/support/cpu_time.ts";
import { frameLocation } from "../../../test/support/multipart.ts";
import {
  concatBytes,
  indexOfBytes,
  MultipartError,
  MultipartReader,
  PatternSearch,
  parseBoundary,
  startsWithBytes,
} from "./multipart_reader.ts";

interface Part {
  headers: Record<string, string>;
  body: string;
  ended: boolean;
}

// Latin-1 keeps one character per byte, so that bodies compare byte for byte.
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));

function read(boundary: string, chunks: Iterable<Uint8Array>): Part[] {
  const reader = new MultipartReader(boundary);
  const parts: Part[] = [];
  const take = (events: ReturnType<typeof reader.push>) => {
    for (const event of events) {
      const part = parts.at(-1);
      if (event.kind === "part") parts.push({ headers: Object.fromEntries(event.headers), body: "", ended: false });
      else if (event.kind === "data" && part) part.body += Buffer.from(event.bytes).toString("latin1");
      else if (part) part.ended = true;
    }
  };
  for (const chunk of chunks) take(reader.push(chunk));
  take(reader.finish());
  return parts;
}

function* split(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.slice(at, at + size);
}

/** Reads the text cut into chunks of every small size, and in two at every place; all must agree. */
function readEveryWay(boundary: string, text: string): Part[] {
  const bytes = bytesOf(text);
  const whole = read(boundary, [bytes]);
  for (let size = 1; size <= 9; size += 1) assert.deepEqual(read(boundary, split(bytes, size)), whole, `size ${size}`);
  for (let at = 0; at <= bytes.byteLength; at += 1) {
    assert.deepEqual(read(boundary, [bytes.slice(0, at), bytes.slice(at)]), whole, `cut at ${at}`);
  }
  return whole;
}

const json = { headers: { "content-type": "application/json" }, body: "{}", ended: true };
const JSON_PART = "Content-Type: application/json\r\n\r\n{}";

test("what we write is read back, however it is cut", () => {
  const frame = frameMedia("bound", { contentType: "text/plain", contentDisposition: "inline" });
  const body = Buffer.concat([frame.head, Buffer.from("hello\r\n"), frame.tail]).toString("latin1");
  assert.deepEqual(readEveryWay("bound", body), [
    json,
    { headers: { "content-type": "text/plain", "content-disposition": "inline" }, body: "hello\r\n", ended: true },
  ]);
  const redirect = frameLocation("bound", "https://cdn.example/abc");
  assert.deepEqual(readEveryWay("bound", Buffer.concat([redirect.head, redirect.tail]).toString("latin1")), [
    json,
    { headers: { location: "https://cdn.example/abc" }, body: "", ended: true },
  ]);
});

test("each form found in the wild gives the same media", () => {
  const media = { headers: { "content-type": "text/plain" }, body: "hello", ended: true };
  const MEDIA_PART = "Content-Type: text/plain\r\n\r\nhello";
  const forms: Record<string, string> = {
    "no line break first": `--b\r\n${JSON_PART}\r\n--b\r\n${MEDIA_PART}\r\n--b--`,
    "preamble and epilogue": `pre --b\r\namble\r\n--b\r\n${JSON_PART}\r\n--b\r\n${MEDIA_PART}\r\n--b--\r\nepi\r\n--b\r\nlogue`,
    "padding after delimiters": `--b \t\r\n${JSON_PART}\r\n--b\t\r\n${MEDIA_PART}\r\n--b-- \r\n`,
    "no final dashes": `--b\r\n${JSON_PART}\r\n--b\r\n${MEDIA_PART}\r\n--b\r\n`,
    "no final dashes and line end": `--b\r\n${JSON_PART}\r\n--b\r\n${MEDIA_PART}\r\n--b`,
    "one final dash": `--b\r\n${JSON_PART}\r\n--b\r\n${MEDIA_PART}\r\n--b-`,
  };
  for (const [name, form] of Object.entries(forms)) assert.deepEqual(readEveryWay("b", form), [json, media], name);
});

test("headers are read in any case, with odd spacing, folded, and the first of two counts", () => {
  const parts = readEveryWay(
    "b",
    "--b\r\nCONTENT-type :text/plain;\r\n\tcharset=utf-8  \r\nno colon\r\n: no name\r\nLocation:a\r\nlocation: b\r\nX:\r\n\r\nm\r\n--b--",
  );
  assert.deepEqual(parts[0]?.headers, { "content-type": "text/plain; charset=utf-8", location: "a", x: "" });
  assert.equal(parts[0]?.body, "m");
});

test("header values are UTF-8", () => {
  const text = Buffer.from('--b\r\nContent-Disposition: inline; filename="🐔"\r\n\r\n\r\n--b--').toString("latin1");
  assert.equal(readEveryWay("b", text)[0]?.headers["content-disposition"], 'inline; filename="🐔"');
});

test("a part without headers does not swallow the next one", () => {
  assert.deepEqual(readEveryWay("b", `--b\r\n\r\n{}\r\n--b\r\nA: b\r\n\r\nm\r\n--b--`), [
    { headers: {}, body: "{}", ended: true },
    { headers: { a: "b" }, body: "m", ended: true },
  ]);
});

test("a part without body, with or without its blank line, is an empty part", () => {
  for (const form of ["A: b\r\n\r\n", "A: b\r\n", "A: b"]) {
    const parts = readEveryWay("b", `--b\r\n${form}\r\n--b\r\nC: d\r\n\r\nm\r\n--b--`);
    assert.deepEqual(parts, [
      { headers: { a: "b" }, body: "", ended: true },
      { headers: { c: "d" }, body: "m", ended: true },
    ]);
  }
  assert.deepEqual(readEveryWay("b", "--b\r\n\r\n--b--"), [{ headers: {}, body: "", ended: true }]);
});

test("media that looks like delimiters survives byte for byte", () => {
  const media =
    "--b\n--b\r\r\n--\r\n-b\r\n--bb\r\n--b-\r\n--b -\r\n--bx--\r\n\r\n--b \tx\r\n\n--b\r\n-\r\n --b\r\nx--b\r\n--B\r\n\0\xff\r\n";
  const parts = readEveryWay("b", `--b\r\n${JSON_PART}\r\n--b\r\n\r\n${media}\r\n--b--`);
  assert.equal(parts.length, 2);
  assert.equal(parts[1]?.body, media);
});

test("an envelope in an envelope with a longer boundary is media", () => {
  const inner = `\r\n--outer2\r\n${JSON_PART}\r\n--outer2--\r\n`;
  const parts = readEveryWay("outer", `--outer\r\nA: b\r\n\r\n${inner}\r\n--outer--`);
  assert.equal(parts[0]?.body, inner);
});

test("the line break before the delimiter is not media, those before it are", () => {
  for (const body of ["", "\r\n", "\r\n\r\n", "\n", "\r", "a\r\n", "\r\na", "\r\r\n"]) {
    assert.equal(readEveryWay("b", `--b\r\nA: b\r\n\r\n${body}\r\n--b--`)[0]?.body, body, JSON.stringify(body));
  }
});

test("a body that is cut short is an error wherever it is cut inside a part", () => {
  const whole = `--bound\r\n${JSON_PART}\r\n--bound\r\nA: b\r\n\r\nhello\r\n--bound--`;
  for (let at = 0; at < whole.indexOf("hello") + "hello\r\n--boun".length + 1; at += 1) {
    let media: Part | undefined;
    try {
      media = read("bound", [bytesOf(whole.slice(0, at))])[1];
    } catch (error) {
      assert.ok(error instanceof MultipartError);
      continue;
    }
    assert.ok(!media?.ended || !media.headers.a, `cut at ${at}`);
  }
  assert.throws(() => read("b", []), MultipartError);
  assert.throws(() => read("b", [bytesOf("x".repeat(100))]), MultipartError);
  assert.throws(() => read("other", [bytesOf(whole)]), MultipartError);
});

test("endless headers, an endless preamble and endless padding need no memory", () => {
  const endless = (start: string) => {
    const reader = new MultipartReader("b");
    reader.push(bytesOf(start));
    for (let round = 0; round < 1000; round += 1) reader.push(bytesOf("x".repeat(1000)));
  };
  assert.throws(() => endless("--b\r\nA: "), MultipartError);
  assert.throws(() => endless(""), MultipartError);
  const padding = read("b", [bytesOf(`--b\r\n\r\na\r\n--b${" ".repeat(1000)}\r\nz\r\n--b--`)]);
  assert.ok(padding[0]?.body.endsWith("z"));
});

test("large media passes whole and quickly, line breaks everywhere", () => {
  const boundary = "gc0p4Jq0M2Yt08jU534c0p";
  const media = new Uint8Array(8 * 1024 * 1024).map((_, index) => [13, 10, 45, 45, 103, index & 255][index % 6] ?? 0);
  const frame = frameMedia(boundary, { contentType: "a/b", contentDisposition: "inline" });
  const reader = new MultipartReader(boundary);
  const out: Uint8Array[] = [];
  const tookMs = cpuMsOf(() => {
    for (const chunk of split(new Uint8Array(Buffer.concat([frame.head, media, frame.tail])), 65_536)) {
      for (const event of reader.push(chunk)) if (event.kind === "data") out.push(event.bytes);
    }
    reader.finish();
  });
  assert.ok(tookMs < 2000, `${tookMs} ms`);
  assert.ok(Buffer.concat(out).subarray(2).equals(media));
});

test("every place of a pattern is found, as the language's own search finds it", () => {
  for (const pattern of ["a", "ab", "aa", "aab", "abab", "xyz", "xyzx"]) {
    const search = new PatternSearch(bytesOf(pattern));
    for (const text of ["", "a", "aaaaaab", "abababab", "xyzxyzx", "wxxyzxy", "aabaabaab"]) {
      for (let from = 0; from <= text.length; from += 1) {
        assert.equal(
          search.next(bytesOf(text), from),
          text.indexOf(pattern, from),
          `${pattern} in ${text} from ${from}`,
        );
      }
      assert.equal(indexOfBytes(bytesOf(text), bytesOf(pattern)), text.indexOf(pattern));
      assert.equal(startsWithBytes(bytesOf(text), bytesOf(pattern)), text.startsWith(pattern));
    }
  }
});

test("concatBytes makes new memory", () => {
  const first = bytesOf("ab");
  const both = concatBytes(first, bytesOf("c"));
  first[0] = 0;
  assert.deepEqual(both, bytesOf("abc"));
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
