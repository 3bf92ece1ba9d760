import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MatrixError } from "./matrix_error.ts";
import { parseFederationTarget, parseMediaQuery, parseMediaTarget } from "./media_target.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const mxc = { serverName: "example.org", mediaId: "abc" };
const LEGACY = ["/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"];
const isInvalid = (error: unknown) =>
  error instanceof MatrixError && error.errcode === "M_INVALID_PARAM" && error.status === 400;

test("the authenticated and the legacy routes are recognised", () => {
  for (const prefix of ["/_matrix/client/v1/media", ...LEGACY]) {
    const authenticated = !LEGACY.includes(prefix);
    assert.deepEqual(parseMediaTarget(`${prefix}/download/example.org/abc?allow_redirect=true`), {
      kind: "download",
      mxc,
      authenticated,
    });
    assert.deepEqual(parseMediaTarget(`${prefix}/download/example.org/abc/a.png`), {
      kind: "download",
      mxc,
      fileName: "a.png",
      authenticated,
    });
    assert.deepEqual(parseMediaTarget(`${prefix}/thumbnail/example.org/abc?width=1`), {
      kind: "thumbnail",
      mxc,
      authenticated,
    });
  }
});

test("everything else is not such a route", () => {
  const media = "/_matrix/client/v1/media";
  const targets = [
    ...["/", "", "*", `${media}/download`, `${media}/download/`, `${media}/download/example.org`, `${media}/config`],
    ...[
      `${media}/download/example.org/abc/`,
      `${media}/download/example.org/abc/a/b`,
      `${media}/thumbnail/example.org/abc/`,
    ],
    ...[`${media}/thumbnail/example.org/abc/x`, `${media}/upload/example.org/abc`, `${media}/DOWNLOAD/example.org/abc`],
    ...[
      "/_matrix/media/v2/download/example.org/abc",
      "/_matrix/client/v3/media/download/example.org/abc",
      `/x${media}/download/a/b`,
    ],
    ...[
      "/_matrix/federation/v1/media/download/abc",
      `/?${media}/download/example.org/abc`,
      `${media}//download/example.org/abc`,
    ],
  ];
  for (const target of targets) assert.equal(parseMediaTarget(target), undefined, target);
});

test("each segment is decoded once", () => {
  const route = (rest: string) => parseMediaTarget(`/_matrix/media/v3/download/${rest}`);
  assert.deepEqual(route("%5B%3A%3A1%5D%3A8448/%41bc")?.mxc, { serverName: "[::1]:8448", mediaId: "Abc" });
  const fileNames = {
    "a%2Fb.png": "b.png",
    "a%5Cb.png": "b.png",
    "C:\\dir\\x.doc": "x.doc",
    "a%E2%80%AEb": "ab",
    "%252e": "%2e",
    "%F0%9F%90%94": "🐔",
    "a%2520b": "a%20b",
    "a+b": "a+b",
    "%3F": "?",
  };
  for (const [encoded, fileName] of Object.entries(fileNames)) {
    const found = route(`example.org/abc/${encoded}`);
    assert.equal(found?.kind === "download" && found.fileName, fileName);
  }
  for (const none of ["%2e%2e", "%2E", "a%2F..", "a%5C", "%00", "%E2%80%AE", "%20"]) {
    assert.deepEqual(route(`example.org/abc/${none}`), route("example.org/abc"), none);
  }
  // Plain dots never come this far by way of an HTTP client: they leave another path.
  assert.equal(route("example.org/abc/."), undefined);
  assert.throws(() => route("example.org/abc/.."), isInvalid);
});

test("ids outside the grammar and broken encodings are M_INVALID_PARAM", () => {
  const ids = [
    ...vectors.media_ids.invalid_derived
      .filter((id: string) => id !== "")
      .map((id: string) => `example.org/${encodeURIComponent(id)}`),
    ...vectors.server_names.invalid_derived.map((name: string) => `${encodeURIComponent(name)}/abc`),
    ...[
      "example.org/%2e%2e",
      "example.org/a%252Fb",
      "%2e%2e/abc",
      "../abc",
      "./abc",
      "/abc",
      "example.org/",
      "a%2Fb/c",
      "@a/b",
    ],
    ...["example.org/%", "example.org/%zz", "example.org/%ff", "%c3%28/abc", "example.org/a%00"],
  ];
  assert.ok(ids.length > 30);
  for (const id of ids) {
    assert.throws(() => parseMediaTarget(`/_matrix/client/v1/media/download/${id}`), isInvalid, id);
    assert.throws(() => parseMediaTarget(`/_matrix/client/v1/media/thumbnail/${id}`), isInvalid, id);
  }
  assert.throws(() => parseMediaTarget("/_matrix/media/v3/download/example.org/abc/%E0%A4%A"), isInvalid);
});

test("the endpoints are recognised by both of their names, with any query", () => {
  const v1 = "/_matrix/federation/v1/media";
  const v2 = "/_matrix/federation/unstable/org.matrix.msc3916.v2/media";
  assert.deepEqual(parseFederationTarget(`${v1}/download/aB-_9`), { kind: "download", mediaId: "aB-_9" });
  assert.deepEqual(parseFederationTarget(`${v1}/download/a?timeout_ms=1`), { kind: "download", mediaId: "a" });
  assert.deepEqual(parseFederationTarget(`${v2}/thumbnail/a?width=1`), { kind: "thumbnail", mediaId: "a" });
  assert.deepEqual(parseFederationTarget(`${v1}/download/%61`), { kind: "download", mediaId: "a" });
});

test("other paths are left to others", () => {
  for (const path of [
    "/_matrix/federation/v1/media/download",
    "/_matrix/federation/v1/media/download/",
    "/_matrix/federation/v1/media/download/example.org/a",
    "/_matrix/federation/v1/media/config",
    "/_matrix/federation/v1/mediadownload/a",
    "/_matrix/federation/v1/version",
    "/_matrix/client/v1/media/download/a",
    "//_matrix/federation/v1/media/download/a",
  ]) {
    assert.equal(parseFederationTarget(path), undefined, path);
  }
});

test("what is no media id is refused", () => {
  for (const id of ["..", "%2e%2e", "a%2fb", "a.b", "a%00", "%zz", "é", "a:b", "a".repeat(300)]) {
    assert.throws(() => parseFederationTarget(`/_matrix/federation/v1/media/download/${id}`), {
      errcode: "M_INVALID_PARAM",
      status: 400,
    });
  }
});

const legacy = (query: string) => parseMediaQuery(new URLSearchParams(query), false);
const authenticated = (query: string) => parseMediaQuery(new URLSearchParams(query), true);

function invalid(query: string, read = legacy): void {
  assert.throws(
    () => read(query),
    (thrown) => thrown instanceof MatrixError && thrown.errcode === "M_INVALID_PARAM" && thrown.status === 400,
    query,
  );
}

test("#84 the default wait is 20000 ms, also for an empty value", () => {
  assert.equal(legacy("").waitMs, 20_000);
  assert.equal(legacy("timeout_ms=").waitMs, 20_000);
});

test("#85 timeout_ms is capped at 60000 ms, however long its number is", () => {
  assert.equal(legacy("timeout_ms=60000").waitMs, 60_000);
  assert.equal(legacy("timeout_ms=60001").waitMs, 60_000);
  assert.equal(legacy(`timeout_ms=${"9".repeat(400)}`).waitMs, 60_000);
});

test("timeout_ms=0 is no wait at all", () => {
  assert.equal(legacy("timeout_ms=0").waitMs, 0);
});

test("a timeout_ms that is no whole number is refused", () => {
  for (const text of ["-1", "1.5", "1e3", "0x10", "ten", "%201", "NaN", "١"]) invalid(`timeout_ms=${text}`);
  invalid("timeout_ms=soon", authenticated);
});

test("the unstable names count where the stable ones are not given", () => {
  assert.equal(legacy("fi.mau.msc2246.timeout_ms=7").waitMs, 7);
  assert.equal(legacy("timeout_ms=8&fi.mau.msc2246.timeout_ms=7").waitMs, 8);
  assert.equal(legacy("com.beeper.msc3860.allow_redirect=true").allowRedirect, true);
  assert.equal(legacy("allow_redirect=false&com.beeper.msc3860.allow_redirect=true").allowRedirect, false);
});

test("#109 allow_remote is true and allow_redirect false unless the query says otherwise", () => {
  assert.deepEqual(legacy(""), { waitMs: 20_000, allowRemote: true, allowRedirect: false });
});

test("booleans are what Go reads as such, and nothing else", () => {
  for (const text of ["1", "t", "T", "true", "TRUE", "True"]) {
    assert.equal(legacy(`allow_redirect=${text}`).allowRedirect, true, text);
  }
  for (const text of ["0", "f", "F", "false", "FALSE", "False"]) {
    assert.equal(legacy(`allow_remote=${text}`).allowRemote, false, text);
  }
  for (const text of ["yes", "tRUE", "2", "%20true", "null"]) {
    invalid(`allow_remote=${text}`);
    invalid(`allow_redirect=${text}`);
  }
});

test("#110 the authenticated paths ignore allow_remote and allow_redirect, whatever they say", () => {
  const query = authenticated("allow_remote=banana&allow_redirect=false");
  assert.equal(query.allowRemote, true);
  assert.equal(query.allowRedirect, true);
});
