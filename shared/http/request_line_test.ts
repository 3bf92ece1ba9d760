import assert from "node:assert/strict";
import { test } from "node:test";
import { MatrixError } from "../matrix/matrix_error.ts";
import { MAX_TARGET_LENGTH, methodNotAllowed, requireRequestLine } from "./request_line.ts";

function refusalOf(method: string, target: string): MatrixError {
  try {
    requireRequestLine(method, target);
  } catch (thrown) {
    if (thrown instanceof MatrixError) return thrown;
  }
  throw new Error(`${method} was not refused`);
}

test("a target of the longest length passes, one character more is 414, by whatever method", () => {
  const longest = "/".padEnd(MAX_TARGET_LENGTH, "x");
  requireRequestLine("GET", longest);
  for (const method of ["GET", "TRACE"]) {
    const { status, errcode } = refusalOf(method, `${longest}x`);
    assert.deepEqual([status, errcode], [414, "M_UNKNOWN"]);
  }
});

test("methods that some path may know pass; others are 405 with what endpoints have", () => {
  for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]) requireRequestLine(method, "/");
  for (const method of ["TRACE", "PROPFIND", "get", ""]) {
    const { status, errcode, headers } = refusalOf(method, "/");
    assert.deepEqual([status, errcode], [405, "M_UNRECOGNIZED"]);
    assert.equal(headers.allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
  }
});

test("a 405 names what is allowed instead", () => {
  assert.equal(methodNotAllowed(["GET", "HEAD"]).headers.allow, "GET, HEAD, OPTIONS");
});
