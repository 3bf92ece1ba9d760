import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFederationTarget } from "./federation_path.ts";

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
