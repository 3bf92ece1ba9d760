import assert from "node:assert/strict";
import { test } from "node:test";
import { MatrixError } from "../matrix/matrix_error.ts";
import { COMMON_HEADERS, errorAnswer, jsonAnswer, preflightAnswer, toResponse } from "./respond.ts";

const listOf = (name: string) => (COMMON_HEADERS[name] ?? "").split(", ");

test("the common headers let every web client in and keep what is shown in a sandbox", () => {
  assert.equal(COMMON_HEADERS["access-control-allow-origin"], "*");
  for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
    assert.ok(listOf("access-control-allow-methods").includes(method), method);
  }
  for (const name of ["X-Requested-With", "Content-Type", "Authorization", "Range"]) {
    assert.ok(listOf("access-control-allow-headers").includes(name), name);
  }
  for (const name of ["Content-Disposition", "Content-Length", "Content-Range", "ETag", "Retry-After"]) {
    assert.ok(listOf("access-control-expose-headers").includes(name), name);
  }
  const policy = COMMON_HEADERS["content-security-policy"] ?? "";
  for (const part of ["sandbox;", "default-src 'none';", "script-src 'none';", "object-src 'self';"]) {
    assert.ok(policy.includes(part), part);
  }
  assert.equal(COMMON_HEADERS["cross-origin-resource-policy"], "cross-origin");
  assert.equal(COMMON_HEADERS["x-content-type-options"], "nosniff");
});

test("an error is JSON, carries the common headers and is never stored", () => {
  const answer = errorAnswer(new MatrixError("M_NOT_FOUND", "Not found"));
  assert.equal(answer.status, 404);
  assert.deepEqual(JSON.parse(answer.body ?? ""), {
    errcode: "M_NOT_FOUND",
    error: "Not found",
    mr_errcode: "M_NOT_FOUND",
  });
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(answer.headers["cache-control"], "no-store");
  assert.equal(answer.headers["retry-after"], undefined);
  for (const [name, value] of Object.entries(COMMON_HEADERS)) assert.equal(answer.headers[name], value);
});

test("Retry-After is in whole seconds, rounded up", () => {
  const after = (retryAfterMs: number) =>
    errorAnswer(new MatrixError("M_LIMIT_EXCEEDED", "Slow", { retryAfterMs })).headers["retry-after"];
  assert.deepEqual([0, 1, 1000, 1001].map(after), ["0", "1", "1", "2"]);
});

test("an error may bring headers of its own, without leaving them to the next one", () => {
  const headers = { "content-range": "bytes */5" };
  const answer = errorAnswer(new MatrixError("M_UNKNOWN", "Outside", { status: 416, headers }));
  assert.equal(answer.headers["content-range"], "bytes */5");
  assert.equal(jsonAnswer({}).headers["content-range"], undefined);
});

test("a preflight is answered without a body", () => {
  const answer = preflightAnswer();
  assert.equal(answer.status, 204);
  assert.equal(answer.body, null);
  assert.equal(answer.headers["access-control-allow-origin"], "*");
});

test("an answer becomes a Response as it is", async () => {
  const response = toResponse(jsonAnswer({ a: "ü" }, 201));
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.deepEqual(await response.json(), { a: "ü" });
  assert.equal(toResponse(preflightAnswer()).status, 204);
});
