import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MatrixError } from "./matrix_error.ts";
import { parseMediaTarget } from "./media_path.ts";

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
