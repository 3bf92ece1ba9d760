import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cpuMsOf } from "../../test/support/cpu_time.ts";
import {
  contentDisposition,
  essence,
  INLINE_TYPES,
  normaliseContentType,
  normaliseFileName,
  parseDispositionFileName,
} from "./content_headers.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const isHeaderText = (text: string) => /^[ -~]*$/.test(text);

test("exactly the specification's types are inline", () => {
  assert.equal(INLINE_TYPES.size, 26);
  assert.deepEqual([...INLINE_TYPES].sort(), vectors.inline_types.types.toSorted());
  for (const type of vectors.inline_types.types) assert.equal(contentDisposition(type), "inline", type);
  const others = [
    "image/svg+xml",
    "text/html",
    "application/pdf",
    "application/octet-stream",
    "text/javascript",
    "text/xml",
    "",
  ];
  for (const type of others) assert.equal(contentDisposition(type), "attachment", type);
});

test("case and parameters do not decide, and nothing can hide in them", () => {
  assert.equal(contentDisposition("Text/Plain; charset=utf-8"), "inline");
  for (const type of ["image/png, text/html", "image/png;x=, text/html", "text/html; image/png", "image/pngx"]) {
    assert.equal(contentDisposition(type), "attachment", type);
  }
});

test("a thumbnail can be forced to be inline", () => {
  assert.equal(contentDisposition("image/x-odd", "thumbnail", "inline"), 'inline; filename="thumbnail"');
});

test("plain names go into a quoted string", () => {
  assert.equal(contentDisposition("image/png", "name;with;semicolons"), 'inline; filename="name;with;semicolons"');
  assert.equal(contentDisposition("a/b", "name with spaces"), 'attachment; filename="name with spaces"');
});

test("other names have an ASCII stand-in and their true form beside it", () => {
  assert.equal(
    contentDisposition("image/png", "🐔.png"),
    "inline; filename=\"_.png\"; filename*=UTF-8''%F0%9F%90%94.png",
  );
  assert.equal(
    contentDisposition("image/png", "é'(*)"),
    "inline; filename=\"_'(*)\"; filename*=UTF-8''%C3%A9%27%28%2A%29",
  );
  assert.equal(contentDisposition("image/png", 'a"b'), 'inline; filename="a\\"b"; filename*=UTF-8\'\'a%22b');
});

test("every name survives the journey, as pure ASCII header text", () => {
  const names = [
    ...vectors.file_names.names,
    ...[
      'quo"te',
      '"',
      "100%41",
      "per%cent",
      "naïve.txt",
      "日本語.tar.gz",
      "'",
      "a=b, c",
      "trailing ",
      "UTF-8''x",
      "🏳️‍🌈",
    ],
  ];
  for (const name of names) {
    const header = contentDisposition("image/png", name);
    assert.ok(isHeaderText(header), header);
    assert.equal(new Headers({ "content-disposition": header }).get("content-disposition"), header);
    assert.equal(parseDispositionFileName(header), name);
  }
});

test("control characters and lone surrogates cannot reach a header", () => {
  const header = contentDisposition("image/png", "a\r\nSet-Cookie: x=1\u0000\u007f\u0085\ud800b");
  assert.ok(isHeaderText(header));
  assert.equal(parseDispositionFileName(header), "aSet-Cookie: x=1\ufffdb");
  assert.equal(contentDisposition("image/png", "\r\n"), "inline");
});

test("a header never has a path, a folder, or what turns the direction of writing, whoever gave the name", () => {
  for (const name of ["/etc/x.doc", "C:\\dir\\x.doc", "a/b\\x.doc", "a\\b/x.doc", "\u202ex.\u2066doc\u2069"]) {
    assert.equal(contentDisposition("image/png", name), 'inline; filename="x.doc"', name);
  }
  for (const name of ["..", ".", "a\\..", "a/", "a\\", " .. ", "\u202e.", "\u2028"]) {
    assert.equal(contentDisposition("image/png", name), "inline", name);
  }
});

test("other servers' headers are read, filename* first", () => {
  const cases: [string, string | undefined][] = [
    ['attachment; filename="plain.txt"', "plain.txt"],
    ["attachment;filename=token.txt", "token.txt"],
    ["ATTACHMENT; FileName = spaced name.txt ; x=y", "spaced name.txt"],
    ["inline; filename=\"no.txt\"; filename*=UTF-8''%e2%82%ac.txt", "€.txt"],
    ["inline; filename*=utf-8'en'a%20b; filename=no", "a b"],
    ["inline; filename*=iso-8859-1''%e9", "é"],
    ["inline; filename*=UTF-8''%ff; filename=fallback", "fallback"],
    ["inline; filename*=UTF-8''%zz; filename=fallback", "fallback"],
    ["inline; filename*=koi8-r''abc; filename=fallback", "fallback"],
    ['inline; x="; filename=evil"; filename=good', "good"],
    ["inline; filename=first; filename=second", "first"],
    ['inline; filename="Ã©.txt"', "é.txt"],
    ['inline; filename="\u00e9.txt"', "é.txt"],
    ["inline; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"],
    ["inline; filename*=UTF-8''a%0D%0Ab", "ab"],
    ['inline; filename="open', '"open'],
    ["inline", undefined],
    ['inline; filename=""', undefined],
    ["", undefined],
  ];
  for (const [header, name] of cases) assert.equal(parseDispositionFileName(header), name, header);
});

test("a hostile header takes no time", () => {
  const tookMs = cpuMsOf(() => {
    for (const part of [";", '; a="\\', "; ", ';filename="', "=", ";a =  "])
      parseDispositionFileName(part.repeat(50_000));
  });
  assert.ok(tookMs < 1000, `${tookMs} ms`);
});

test("a kept name is the last component of a path, without control characters", () => {
  assert.equal(normaliseFileName("photo.jpg"), "photo.jpg");
  assert.equal(normaliseFileName("/etc/../x/pass wd"), "pass wd");
  assert.equal(normaliseFileName("C:\\dir\\x.doc"), "x.doc");
  assert.equal(normaliseFileName("evil\u202efdp.exe"), "evilfdp.exe");
  for (const turn of "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
    assert.equal(normaliseFileName(`a${turn}b`), "ab");
    assert.equal(normaliseFileName(`.${turn}.`), undefined);
  }
  assert.equal(
    normaliseFileName("\u05e9\u05dc\u05d5\u05dd\u200f.txt"),
    "\u05e9\u05dc\u05d5\u05dd\u200f.txt",
    "marks of such scripts stay",
  );
  assert.equal(normaliseFileName("a\u0000\r\nb"), "ab");
  assert.equal(normaliseFileName("\udc00x"), "\ufffdx");
  for (const name of [undefined, "", ".", "..", "a/..", "a/", "  ", "\u0007"])
    assert.equal(normaliseFileName(name), undefined);
});

test("a kept name has at most 255 code points, and none is cut in half", () => {
  assert.equal(normaliseFileName("🐔".repeat(255)), "🐔".repeat(255));
  assert.equal(normaliseFileName("🐔".repeat(300)), "🐔".repeat(255));
  assert.equal(normaliseFileName(`${"a".repeat(254)}🐔🐔`), `${"a".repeat(254)}🐔`);
});

test("a media type is kept as it is, parameters, case and spelling included", () => {
  const types = [
    ...["image/png", "Text/Plain; charset=utf-8", "text/plain;charset=UTF-8", "image/svg+xml", "application/x.foo-bar"],
    ...[
      'video/mp4; codecs="avc1.42E01E, mp4a.40.2"',
      'text/plain; x="a\\"b;c"',
      "text/plain ; a=b ; c=d",
      "image/png;",
      "a/b;;c=d",
    ],
  ];
  for (const type of types) assert.equal(normaliseContentType(type), type);
  assert.equal(normaliseContentType("  image/png \t"), "image/png");
});

test("what is no media type is application/octet-stream", () => {
  const none = [
    ...[
      undefined,
      null,
      "",
      "   ",
      "png",
      "image/",
      "/png",
      "image/png/x",
      "image png",
      "image/png, text/html",
      "é/ü",
      "*",
    ],
    ...["image/p ng", "image\r\nX: y/png", `a/${"b".repeat(300)}`],
  ];
  for (const header of none) assert.equal(normaliseContentType(header), "application/octet-stream", String(header));
});

test("broken or endless parameters are dropped", () => {
  const broken = [
    "; charset",
    "; charset=",
    "; a b=c",
    '; a="b',
    "; a=ü",
    "; a=b\r\nX-Evil: 1",
    '; a="\r\n"',
    `; a=${"b".repeat(300)}`,
  ];
  for (const parameters of broken)
    assert.equal(normaliseContentType(`image/png${parameters}`), "image/png", parameters);
});

test("a second type behind a comma can't hide among parameters", () => {
  for (const type of ["image/png;x=, text/html", "image/png;,text/html", "image/png; a=b, text/html"]) {
    assert.equal(normaliseContentType(type), "image/png", type);
  }
});

test("a hostile header takes no time", () => {
  const tookMs = cpuMsOf(() => {
    for (const gap of [" ;  ", ";", '; a="', "; a=b", ' ; a="\\"'] as const)
      normaliseContentType(`a/b${gap.repeat(30_000)}!`);
    for (let i = 0; i < 100; i++) normaliseContentType(`a/b${" ;  ".repeat(60)}!`);
  });
  assert.ok(tookMs < 1000, `${tookMs} ms`);
});

test("the essence has neither case nor parameters", () => {
  assert.equal(essence("Text/Plain; charset=utf-8"), "text/plain");
  assert.equal(essence("IMAGE/PNG ;x"), "image/png");
  assert.equal(essence(""), "");
});
