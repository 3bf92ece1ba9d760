import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { MAX_TARGET_LENGTH } from "../../../shared/http/request_line.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { type Asking, ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { assertAlike } from "./assert_alike.ts";

const USER = "token_of_user";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let id: string;

before(async () => {
  stack = await startStack(lifetime);
  id = await upload(stack.tiers.edge, USER, "words ".repeat(100), { type: "text/plain" });
});

const V1 = "/_matrix/client/v1/media";
const V3 = "/_matrix/media/v3";
const UNSTABLE = "/_matrix/media/unstable";
const BODY = "x".repeat(300);

/** Paths that no URL carries as they are, and paths that a router may read in more ways than one. */
const PATHS: readonly [string, string, number, Asking?][] = [
  ["encoded dots as a file name", `${V1}/download/{id}/%2e%2e`, 200],
  ["an encoded dot as a file name", `${V1}/download/{id}/%2E`, 200],
  ["characters that no URL holds as a file name", `${V1}/download/{id}/"{a}<b>^\`|`, 200],
  ["a backslash as a file name", `${V1}/download/{id}/a\\b`, 200],
  ["encoded dots as an id to fill", `${V3}/upload/example.org/%2e%2e`, 400, { method: "PUT", body: BODY }],
  ["a backslash in an id to fill", `${V3}/upload/example.org/a\\b`, 400, { method: "PUT", body: BODY }],
  [
    "encoded dots as an id to fill, without a token",
    `${V3}/upload/example.org/%2e%2e`,
    401,
    { method: "PUT", body: BODY, token: undefined },
  ],
  ["encoded dots as an id to look at", `${UNSTABLE}/info/example.org/%2e%2e`, 400],
  ["encoded dots as an id to copy", `${UNSTABLE}/local_copy/example.org/%2e%2e`, 400],
  ["encoded dots as an id to delete", `${UNSTABLE}/download/example.org/%2e%2e`, 400, { method: "DELETE" }],
  ["encoded dots as a seed", `${V3}/identicon/%2e%2e`, 200, { token: undefined }],
  ["a backslash in a seed", `${V3}/identicon/a\\b`, 200, { token: undefined }],
  ["a POST of encoded dots", `${V1}/download/{id}/%2e%2e`, 405, { method: "POST", body: BODY }],
  ["a POST of a backslash", `${V1}/download/{id}\\x`, 405, { method: "POST", body: BODY }],
  ["a backslash in the path of an endpoint", `${V1}\\download/{id}`, 404],
  ["the same without a token", `${V1}\\download/{id}`, 404, { token: undefined }],
  ["dots that would lead between the tiers", "/x/%2e%2e/_mxcdn/v1/verdict", 404, { method: "POST" }],
  ["a backslash that would lead there", "/_mxcdn\\v1\\verdict", 404, { method: "POST" }],
  ["what stands for signed paths", "/_mxcdn/v1/forward", 404, { headers: { "mxcdn-target": "/healthz" } }],
  ["a fragment", `${V1}/download/{id}#x`, 400],
  ["a fragment after the query", `${V1}/download/{id}?x#y`, 200],
  ["no ids", `${V1}/download`, 404],
  ["no ids and no token", `${V1}/download`, 404, { token: undefined }],
  ["empty ids and no token", `${V1}/download/`, 401, { token: undefined }],
  ["bytes that are not ASCII", `${V1}/download/{id}/\u00c3\u00a9`, 400],
  ["the same in the query", `${V1}/download/{id}?x=\u00c3\u00a9`, 400, { method: "OPTIONS" }],
];

describe("both tiers read a path alike", () => {
  for (const [name, template, status, asking] of PATHS) {
    test(`${name}: ${status}`, async () => {
      const heard = await assertAlike(stack.tiers, template.replace("{id}", id), { token: USER, ...asking });
      assert.equal(heard.status, status);
    });
  }
});

describe("both tiers read targets of the same length", () => {
  const targetOf = (length: number) => `${V1}/download/${id}?x=`.padEnd(length, "y");

  test(`${MAX_TARGET_LENGTH} characters are read`, async () => {
    assert.equal((await assertAlike(stack.tiers, targetOf(MAX_TARGET_LENGTH), { token: USER })).status, 200);
  });

  for (const length of [MAX_TARGET_LENGTH + 1, 60_000, 70_000, 125_000]) {
    test(`${length} characters: 414 M_UNKNOWN, by any method but OPTIONS`, async () => {
      for (const method of ["GET", "HEAD", "POST", "TRACE"]) {
        const asking = { method, token: USER };
        const heard = await assertAlike(stack.tiers, targetOf(length), asking);
        assert.equal(heard.status, 414, method);
      }
      const said = jsonOf(await ask(stack.tiers.edge, targetOf(length), { token: USER }));
      assert.equal(said.errcode, "M_UNKNOWN");
      assert.equal((await assertAlike(stack.tiers, targetOf(length), { method: "OPTIONS" })).status, 204);
    });
  }
});

describe("a 405 names the methods that are allowed (RFC 9110 §15.5.6), at both tiers", () => {
  const cases: readonly [string, string, string][] = [
    ["POST", `${V1}/download/example.org/abc`, "GET, HEAD, OPTIONS"],
    ["PATCH", `${V1}/config`, "GET, OPTIONS"],
    ["GET", `${V3}/upload`, "POST, OPTIONS"],
    ["GET", `${V3}/upload/example.org/abc`, "PUT, OPTIONS"],
    ["GET", `${UNSTABLE}/download/example.org/abc`, "DELETE, OPTIONS"],
    ["TRACE", `${V1}/config`, "GET, HEAD, POST, PUT, DELETE, OPTIONS"],
    ["PROPFIND", "/nowhere", "GET, HEAD, POST, PUT, DELETE, OPTIONS"],
  ];
  for (const [method, path, allow] of cases) {
    test(`${method} ${path}: ${allow}`, async () => {
      const heard = await assertAlike(stack.tiers, path, { method, token: USER });
      assert.equal(heard.status, 405);
      assert.equal(heard.headers.allow, allow);
    });
  }
});
