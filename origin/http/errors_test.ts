import assert from "node:assert/strict";
import { test } from "node:test";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { matrixErrorOf } from "./errors.ts";

test("a Matrix error is what it is; anything else tells nothing of what happened inside", () => {
  const known = new MatrixError("M_FORBIDDEN", "no");
  assert.equal(matrixErrorOf(known), known);
  const { status, errcode, message } = matrixErrorOf(new Error("postgres://user:password@host"));
  assert.deepEqual([status, errcode, message], [500, "M_UNKNOWN", "Internal server error"]);
  assert.equal(matrixErrorOf(Object.assign(new Error("bad URL"), { statusCode: 400 })).status, 400);
});

test("a disk that is full is 507 with a time to retry, wherever it is noticed", () => {
  const error = matrixErrorOf(Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC" }));
  assert.deepEqual([error.status, error.errcode], [507, "M_UNKNOWN"]);
  assert.match(error.message, /no room left/);
  assert.ok((error.retryAfterMs ?? 0) > 0);
});
